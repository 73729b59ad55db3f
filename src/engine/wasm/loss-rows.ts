import { type LossCoefficients, logitGradient, softEntropy } from "../loss.ts";
import type { OpContext } from "./control.ts";

/** Rows of the logits tensor, and where their sums go: double [p, g, pg, crossEntropy, focal][K], then distil. */
export interface LossSlab {
  kind: "softmax" | "sigmoid";
  classes: number;
  /** Byte addresses of the first logit and of the first target voxel; the target's rows lie behind each other. */
  logits: number;
  target: number;
  planes: number;
  /** Rows of each plane. */
  rows: number;
  width: number;
  planeBytes: number;
  rowBytes: number;
  pixelBytes: number;
  sums: number;
  coefficients: number;
  crossEntropy: boolean;
  focal: boolean;
  gamma: number;
  smoothing: number;
  temperature: number;
  /** Byte address of the first voxel of a teacher's first class, and voxels to its next class; null where the loss does not distil. */
  soft: number | null;
  softStride: number;
  /** As in {@link LossCoefficients}. */
  distil: number;
}

/** Index in `f32` of the first logit of the slab's row number `row`. */
function rowStart(slab: LossSlab, row: number): number {
  const plane = Math.floor(row / slab.rows);
  return (slab.logits + plane * slab.planeBytes + (row - plane * slab.rows) * slab.rowBytes) / 4;
}

/** Copies the teacher's probabilities at voxel number `v` of a slab. */
function readSoft({ f32 }: OpContext, { soft, softStride }: LossSlab, v: number, into: Float64Array): void {
  for (let c = 0; c < into.length; c++) into[c] = f32[soft! / 4 + c * softStride + v];
}

/** Logits become probabilities in place; the slab's sums are written. */
export function lossForward(ctx: OpContext, slab: LossSlab): void {
  const { classes: K, width } = slab;
  const { f32, f64, u8 } = ctx;
  const stride = slab.pixelBytes / 4;
  const sums = f64.subarray(slab.sums / 8, slab.sums / 8 + 5 * K + 1);
  sums.fill(0);
  const teacher = new Float64Array(K);
  const rows = slab.planes * slab.rows;
  for (let row = 0; row < rows; row++) {
    let at = rowStart(slab, row);
    const target = slab.target + row * width;
    for (let w = 0; w < width; w++, at += stride) {
      const truth = u8[target + w];
      if (slab.soft !== null) {
        readSoft(ctx, slab, row * width + w, teacher);
        sums[5 * K] += softEntropy(slab.kind, f32.subarray(at, at + K), teacher, slab.temperature);
      }
      if (slab.kind === "softmax") {
        let top = f32[at];
        for (let c = 1; c < K; c++) if (f32[at + c] > top) top = f32[at + c];
        let total = 0;
        const logit = f32[at + truth];
        const shifted = logit - top;
        let mean = 0;
        for (let c = 0; c < K; c++) {
          const z = f32[at + c];
          const e = z === top ? 1 : Math.exp(z - top);
          f32[at + c] = e;
          total += e;
          mean += z / K;
        }
        const inverse = 1 / total;
        for (let c = 0; c < K; c++) {
          const p = f32[at + c] * inverse;
          f32[at + c] = p;
          sums[c] += p;
        }
        const p = f32[at + truth];
        sums[K + truth] += 1;
        sums[2 * K + truth] += p;
        if (slab.crossEntropy || slab.focal) {
          const entropy = Math.log(total) - shifted;
          sums[3 * K + truth] += entropy + slab.smoothing * (logit - mean);
          if (slab.focal) sums[4 * K + truth] += (1 - p) ** slab.gamma * entropy;
        }
      } else {
        for (let c = 0; c < K; c++) {
          const g = (truth >>> c) & 1;
          const z = f32[at + c];
          const small = Math.exp(-Math.abs(z));
          const p = z >= 0 ? 1 / (1 + small) : small / (1 + small);
          f32[at + c] = p;
          sums[c] += p;
          sums[K + c] += g;
          sums[2 * K + c] += p * g;
          if (slab.crossEntropy || slab.focal) {
            const entropy = Math.log1p(small) + (g === 1 ? Math.max(-z, 0) : Math.max(z, 0));
            sums[3 * K + c] += entropy + (slab.smoothing / 2) * (g === 1 ? z : -z);
            if (slab.focal) sums[4 * K + c] += (g === 1 ? 1 - p : p) ** slab.gamma * entropy;
          }
        }
      }
    }
  }
}

/** Probabilities become the loss's gradient by the logits, in place. */
export function lossBackward(ctx: OpContext, slab: LossSlab): void {
  const { classes: K, width } = slab;
  const { f32, f64, u8 } = ctx;
  const stride = slab.pixelBytes / 4;
  const at = slab.coefficients / 8;
  const part = (i: number): Float64Array => f64.slice(at + i * K, at + (i + 1) * K);
  const coefficients: LossCoefficients = {
    constant: part(0),
    slope: part(1),
    crossEntropy: part(2),
    focal: part(3),
    gamma: slab.gamma,
    smoothing: slab.smoothing,
    distil: slab.distil,
    temperature: slab.temperature,
  };
  const { constant, slope, crossEntropy, smoothing } = coefficients;
  const probabilities = new Float64Array(K);
  const gradient = new Float64Array(K);
  const plain = slab.kind === "softmax" && !slab.focal && slab.soft === null;
  const teacher = slab.soft === null ? undefined : new Float64Array(K);
  for (let row = 0; row < slab.planes * slab.rows; row++) {
    let i = rowStart(slab, row);
    const target = slab.target + row * width;
    for (let w = 0; w < width; w++, i += stride) {
      const truth = u8[target + w];
      if (plain) {
        // The common case of logitGradient without copies.
        const q = f32[i + truth];
        let mean = slope[truth] * q;
        for (let c = 0; c < K; c++) mean += constant[c] * f32[i + c];
        const scale = crossEntropy[truth];
        const even = (scale * smoothing) / K;
        for (let c = 0; c < K; c++) f32[i + c] = f32[i + c] * (constant[c] - mean + scale) - even;
        f32[i + truth] += slope[truth] * q - scale * (1 - smoothing);
      } else {
        for (let c = 0; c < K; c++) probabilities[c] = f32[i + c];
        if (teacher) readSoft(ctx, slab, row * width + w, teacher);
        logitGradient(slab.kind, coefficients, probabilities, truth, gradient, teacher);
        for (let c = 0; c < K; c++) f32[i + c] = gradient[c];
      }
    }
  }
}
