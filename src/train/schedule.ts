import { UserError } from "../util/errors.ts";

export type ScheduleKind = "constant" | "poly" | "cosine";

export interface ScheduleSpec {
  kind: ScheduleKind;
  /** The rate after warm-up. */
  learningRate: number;
  /** Share of all steps, in [0, 1), over which the rate climbs linearly from 0. */
  warmup: number;
}

/** nnU-Net's exponent of the polynomial decay. */
const polyPower = 0.9;

/**
 * Learning rate of a step, 0 <= step < totalSteps. Warm-up: step s of w has rate lr (s + 1) / w. With t in [0, 1) the share
 * of the remaining steps that is done: poly lr (1 - t)^0.9 (nnU-Net), cosine lr (1 + cos(pi t)) / 2 (Loshchilov and
 * Hutter 2017, without restarts).
 */
export function learningRateAt(spec: ScheduleSpec, step: number, totalSteps: number): number {
  const warm = Math.round(spec.warmup * totalSteps);
  // In this order the last step of the warm-up gives the full rate to the bit, never one rounding above it.
  if (step < warm) return spec.learningRate * ((step + 1) / warm);
  if (spec.kind === "constant") return spec.learningRate;
  const t = Math.min(1, (step - warm) / Math.max(1, totalSteps - warm));
  if (spec.kind === "poly") return spec.learningRate * (1 - t) ** polyPower;
  return (spec.learningRate * (1 + Math.cos(Math.PI * t))) / 2;
}

export function parseSchedule(text: string): ScheduleKind {
  if (text === "constant" || text === "poly" || text === "cosine") return text;
  throw new UserError(`Unknown --schedule "${text}": expected constant, poly or cosine.`);
}
