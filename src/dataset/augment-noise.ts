import type { Random } from "../util/random.ts";

// Ziggurat of 128 layers of equal area (Marsaglia and Tsang 2000): a layer's number and the place in it come from separate bits
// of one 32-bit word (Doornik 2005), and 99 of 100 words give a normal number without a logarithm.
const layers = 128;
const tail = 3.442619855899;
const area = 9.91256303526217e-3;
const density = (x: number): number => Math.exp(-0.5 * x * x);
/** Places in a layer: 24 bits and a sign. */
const places = 2 ** 24;

/** Right edge of each layer, from the tail's start down to 0; the bottom layer's as if its tail were a box. */
const edges = new Float64Array(layers + 1);
/** A layer's width in a place, and the number of places that lie under the curve for certain. */
const width = new Float64Array(layers);
const sure = new Int32Array(layers);
edges[0] = area / density(tail);
edges[1] = tail;
for (let i = 2; i < layers; i++) {
  edges[i] = Math.sqrt(-2 * Math.log(area / edges[i - 1] + density(edges[i - 1])));
}
for (let i = 0; i < layers; i++) {
  width[i] = edges[i] / places;
  sure[i] = Math.floor((edges[i + 1] / edges[i]) * places);
}

/**
 * Adds Gaussian noise of a standard deviation. The numbers come from a stream of their own (sfc32) that four words of `random`
 * seed, so that `random` moves on by four whatever the size of `x`.
 */
export function addNoise(x: Float32Array, sigma: number, random: Random): void {
  const state = Int32Array.from({ length: 4 }, () => random.int(4294967296) | 0);
  for (let i = 0; i < x.length; i++) {
    const word = bits(state);
    const layer = word & (layers - 1);
    const place = word >> 7;
    const value = place * width[layer];
    x[i] += sigma * (Math.abs(place) < sure[layer] ? value : outside(layer, value, state));
  }
}

/** The next 32 bits of sfc32 as a signed number. */
function bits(state: Int32Array): number {
  const a = state[0];
  const b = state[1];
  const c = state[2];
  const d = state[3];
  const word = (((a + b) | 0) + d) | 0;
  state[0] = b ^ (b >>> 9);
  state[1] = (c + (c << 3)) | 0;
  state[2] = (((c << 21) | (c >>> 11)) + word) | 0;
  state[3] = (d + 1) | 0;
  return word;
}

/** Uniform in (0, 1). */
const unit = (state: Int32Array): number => ((bits(state) >>> 0) + 0.5) / 4294967296;

/** A place that is not under the curve for certain: in the tail, in the wedge beside the next layer's edge, or drawn again. */
function outside(layer: number, value: number, state: Int32Array): number {
  for (;;) {
    if (layer === 0) {
      let x: number;
      let y: number;
      do {
        x = -Math.log(unit(state)) / tail;
        y = -Math.log(unit(state));
      } while (2 * y < x * x);
      return value < 0 ? -(tail + x) : tail + x;
    }
    const low = density(edges[layer]);
    if (low + unit(state) * (density(edges[layer + 1]) - low) < density(value)) return value;
    const word = bits(state);
    layer = word & (layers - 1);
    const place = word >> 7;
    value = place * width[layer];
    if (Math.abs(place) < sure[layer]) return value;
  }
}
