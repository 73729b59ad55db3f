/**
 * A WebAssembly byte emitter: just the instructions the kernels need (core, SIMD 128, relaxed-SIMD FMA).
 * Opcodes: WebAssembly core specification 2.0, appendix "Index of Instructions"; relaxed SIMD proposal.
 */
export const I32 = 0x7f;
const V128 = 0x7b;

const unsigned = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
};

const signed = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    const last = (rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0);
    bytes.push(last ? low : low | 128);
    if (last) return bytes;
  }
};

const text = (value: string): number[] => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...unsigned(bytes.length), ...bytes];
};

/** Index of a local variable or parameter. */
export type Local = number;

/** One function under construction. Methods append instructions and return the builder where chaining reads well. */
export class FunctionBuilder {
  readonly name: string;
  readonly paramCount: number;
  private readonly fused: boolean;
  private readonly code: number[] = [];
  private readonly localTypes: number[] = [];

  /** All parameters are i32 (byte addresses and counts); nothing is returned. `fused`: use relaxed-SIMD FMA. */
  constructor(name: string, paramCount: number, fused: boolean) {
    this.name = name;
    this.paramCount = paramCount;
    this.fused = fused;
  }

  private put(...bytes: number[]): this {
    for (const byte of bytes) this.code.push(byte);
    return this;
  }
  private newLocal(type: number): Local {
    this.localTypes.push(type);
    return this.paramCount + this.localTypes.length - 1;
  }
  int(): Local {
    return this.newLocal(I32);
  }
  vector(): Local {
    return this.newLocal(V128);
  }
  vectors(count: number): Local[] {
    return Array.from({ length: count }, () => this.vector());
  }

  get(local: Local): this {
    return this.put(0x20, ...unsigned(local));
  }
  set(local: Local): this {
    return this.put(0x21, ...unsigned(local));
  }
  const(value: number): this {
    return this.put(0x41, ...signed(value));
  }
  addInt(): this {
    return this.put(0x6a);
  }
  /** local += bytes */
  advance(local: Local, bytes: number): this {
    return bytes === 0 ? this : this.get(local).const(bytes).addInt().set(local);
  }
  copy(from: Local, to: Local, plus = 0): this {
    this.get(from);
    if (plus !== 0) this.const(plus).addInt();
    return this.set(to);
  }

  /** Runs the body `local` times, counting `counter` down from the constant or local given; at least once. */
  repeat(counter: Local, times: number | { local: Local }, body: () => void): this {
    if (typeof times === "number") {
      if (times === 1) {
        body();
        return this;
      }
      this.const(times).set(counter);
    } else this.get(times.local).set(counter);
    this.put(0x03, 0x40);
    body();
    this.get(counter)
      .const(-1)
      .addInt()
      .put(0x22, ...unsigned(counter));
    return this.put(0x0d, 0, 0x0b);
  }

  private simd(opcode: number): this {
    return this.put(0xfd, ...unsigned(opcode));
  }
  private memory(opcode: number, align: number, offset: number): this {
    return this.simd(opcode).put(align, ...unsigned(offset));
  }
  /** [address] -> v128 */
  load(offset: number): this {
    return this.memory(0x00, 4, offset);
  }
  /**
   * [address] -> the float at address + offset in all four lanes. The sum is made here: V8 does not fold the offset into a splat load
   * but keeps memory base + offset in a register, shares it among loads and then spills it, which costs a third of a kernel's speed.
   */
  loadSplat(offset: number): this {
    if (offset !== 0) this.const(offset).addInt();
    return this.memory(0x09, 2, 0);
  }
  /** [address, v128] -> */
  store(offset: number): this {
    return this.memory(0x0b, 4, offset);
  }
  zero(): this {
    return this.simd(0x0c).put(...new Array(16).fill(0));
  }
  /** The same float in all lanes. */
  splatConst(value: number): this {
    const bytes = new Uint8Array(new Float32Array([value, value, value, value]).buffer);
    return this.simd(0x0c).put(...bytes);
  }
  abs(): this {
    return this.simd(0xe0);
  }
  add(): this {
    return this.simd(0xe4);
  }
  sub(): this {
    return this.simd(0xe5);
  }
  mul(): this {
    return this.simd(0xe6);
  }
  /** [a, b] -> a < b ? b : a */
  max(): this {
    return this.simd(0xeb);
  }
  equal(): this {
    return this.simd(0x41);
  }
  greater(): this {
    return this.simd(0x44);
  }
  and(): this {
    return this.simd(0x4e);
  }
  /** [a, b] -> a & ~b */
  andNot(): this {
    return this.simd(0x4f);
  }
  or(): this {
    return this.simd(0x50);
  }
  /** [a, b, mask] -> mask ? a : b */
  select(): this {
    return this.simd(0x52);
  }
  div(): this {
    return this.simd(0xe7);
  }
  /** Rounds to whole numbers, ties to even. */
  nearest(): this {
    return this.simd(0x6a);
  }
  /** [address] -> v128 with the 32 bits there in the first lane, zeros in the others. */
  loadLow(offset: number): this {
    return this.memory(0x5c, 2, offset);
  }
  /** The lower 8 unsigned bytes to 16 bits, or the lower 4 of these to 32. */
  extendLow(bits: 8 | 16): this {
    return this.simd(bits === 8 ? 0x89 : 0xa9);
  }
  splatInt(): this {
    return this.simd(0x11);
  }
  equalInts(): this {
    return this.simd(0x37);
  }
  addInts(): this {
    return this.simd(0xae);
  }
  subInts(): this {
    return this.simd(0xb1);
  }
  /** [v128, i32] -> every 32-bit lane shifted */
  shiftLeft(): this {
    return this.simd(0xab);
  }
  /** [v128, i32] -> every lane shifted with its sign */
  shiftRight(): this {
    return this.simd(0xac);
  }
  toInts(): this {
    return this.simd(0xf8);
  }
  toFloats(): this {
    return this.simd(0xfa);
  }
  /** Two low floats to doubles. */
  promoteLow(): this {
    return this.simd(0x5f);
  }
  addDouble(): this {
    return this.simd(0xf0);
  }
  /** Bytes of [a, b] chosen by 16 indices. */
  shuffle(indices: number[]): this {
    return this.simd(0x0d).put(...indices);
  }
  /** sum += a * b */
  fma(a: Local, b: Local, sum: Local): this {
    if (this.fused) return this.get(a).get(b).get(sum).simd(0x105).set(sum);
    return this.get(sum).get(a).get(b).mul().add().set(sum);
  }
  /** [] -> a * b + c with locals */
  fmaValue(a: Local, b: Local, c: Local): this {
    if (this.fused) return this.get(a).get(b).get(c).simd(0x105);
    return this.get(a).get(b).mul().get(c).add();
  }

  /** [] -> c - a * b with locals */
  fnmaValue(a: Local, b: Local, c: Local): this {
    if (this.fused) return this.get(a).get(b).get(c).simd(0x106);
    return this.get(c).get(a).get(b).mul().sub();
  }

  body(): number[] {
    const groups: number[][] = [];
    for (let i = 0; i < this.localTypes.length; ) {
      let j = i;
      while (j < this.localTypes.length && this.localTypes[j] === this.localTypes[i]) j++;
      groups.push([...unsigned(j - i), this.localTypes[i]]);
      i = j;
    }
    const head = [...unsigned(groups.length), ...groups.flat()];
    const size = head.length + this.code.length + 1;
    return [...unsigned(size), ...head].concat(this.code, [0x0b]);
  }
}

/** A module that imports memory `env.memory` (fixed size in 64 KiB pages) and exports every function by name. */
export function assembleModule(functions: FunctionBuilder[], pages: number, shared: boolean): Uint8Array<ArrayBuffer> {
  const section = (id: number, bytes: number[]): number[] => [id, ...unsigned(bytes.length)].concat(bytes);
  const list = (items: number[][]): number[] => unsigned(items.length).concat(...items);
  const types = functions.map((f) => [0x60, ...unsigned(f.paramCount), ...new Array(f.paramCount).fill(I32), 0]);
  const limits = [shared ? 3 : 1, ...unsigned(pages), ...unsigned(pages)];
  const memory = [...text("env"), ...text("memory"), 0x02, ...limits];
  const names = functions.map((f, i) => [...text(f.name), 0, ...unsigned(i)]);
  const parts: number[][] = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, list(types)),
    section(2, list([memory])),
    section(3, list(functions.map((_, i) => unsigned(i)))),
    section(7, list(names)),
    section(10, list(functions.map((f) => f.body()))),
  ];
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
