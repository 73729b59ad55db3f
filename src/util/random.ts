/**
 * Small fast counter generator sfc32 (Chris Doty-Humphrey, PractRand). Its whole state is four 32-bit integers,
 * so it fits a checkpoint; streams for (seed, epoch, index ...) are independent by hashing the keys.
 */
export type RandomState = [number, number, number, number];

export interface Random {
  /** Uniform in [0, 1) with 32 bits. */
  next(): number;
  /** Uniform in [low, high). */
  uniform(low: number, high: number): number;
  /** Uniform integer in [0, n). */
  int(n: number): number;
  /** Standard normal (Box-Muller, one value a call, nothing kept between calls). */
  normal(): number;
  /** True with probability p. */
  chance(p: number): boolean;
  /** In-place Fisher-Yates shuffle; returns the array. */
  shuffle<T>(values: T[]): T[];
  state(): RandomState;
}

/** A generator from a stored state. */
export function randomFrom(state: RandomState): Random {
  let [a, b, c, d] = state.map((v) => v >>> 0) as RandomState;
  const bits = (): number => {
    const t = (a + b + d) >>> 0;
    d = (d + 1) >>> 0;
    a = (b ^ (b >>> 9)) >>> 0;
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + t) >>> 0;
    return t;
  };
  const next = (): number => bits() / 4294967296;
  const int = (n: number): number => Math.floor(next() * n);
  return {
    next,
    int,
    uniform: (low, high) => low + (high - low) * next(),
    normal: () => {
      const u = (bits() + 1) / 4294967296;
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * next());
    },
    chance: (p) => next() < p,
    shuffle: (values) => {
      for (let i = values.length - 1; i > 0; i--) {
        const j = int(i + 1);
        const held = values[i];
        values[i] = values[j];
        values[j] = held;
      }
      return values;
    },
    state: () => [a, b, c, d],
  };
}

/** A generator for a tuple of integer keys, e.g. `random(seed, epoch, index)`: same keys, same stream. */
export function random(...keys: number[]): Random {
  // FNV-1a over the keys' bytes gives four different words; sfc32 then mixes for 12 rounds.
  const words = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35].map((start) => {
    let h = start >>> 0;
    for (const key of keys) {
      for (let shift = 0; shift < 32; shift += 8) h = Math.imul(h ^ ((key >>> shift) & 255), 0x01000193) >>> 0;
    }
    return h;
  });
  const generator = randomFrom([words[0], words[1], words[2], words[3]]);
  for (let i = 0; i < 12; i++) generator.next();
  return generator;
}
