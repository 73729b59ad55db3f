/** Doubles in the control area at byte address 0 of the area: set by the caller or read by it. */
export const CONTROL = {
  learningRate: 0,
  step: 1,
  gradientScale: 2,
  updateRunning: 3,
  loss: 4,
  gradientNorm: 5,
  /** Then the soft Dice of each class. */
  dice: 6,
} as const;

/** What every thread needs to run ops. */
export interface OpContext {
  f32: Float32Array;
  f64: Float64Array;
  u8: Uint8Array;
  /** Byte address of the control doubles. */
  control: number;
}
