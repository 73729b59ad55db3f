// Each function changes one channel of a patch in place, by a value that the caller has drawn.

interface Moments {
  low: number;
  high: number;
  mean: number;
  /** Population standard deviation. */
  sd: number;
}

/** One pass in float64; shifted by the first value, so that a mean far from 0 costs no digits. */
function momentsOf(x: Float32Array): Moments {
  const shift = x[0];
  let low = shift;
  let high = shift;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    if (v < low) low = v;
    if (v > high) high = v;
    const off = v - shift;
    sum += off;
    squares += off * off;
  }
  const mean = sum / x.length;
  return { low, high, mean: shift + mean, sd: Math.sqrt(Math.max(0, squares / x.length - mean * mean)) };
}

export function scaleBrightness(x: Float32Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i] *= factor;
}

/** Stretches about the mean and clips to the range it had. */
export function changeContrast(x: Float32Array, factor: number): void {
  const { low, high, mean } = momentsOf(x);
  const offset = mean * (1 - factor);
  for (let i = 0; i < x.length; i++) {
    x[i] = Math.min(high, Math.max(low, offset + factor * x[i]));
  }
}

/** Cells of the table of powers: between them it is linear, at most 7e-4 of the range from the power (gamma 0.7, next to 0). */
const cells = 2048;
const powers = new Float64Array(cells + 2);

/**
 * Scales to 0..1, raises to the power `gamma`, scales back and restores mean and standard deviation. `invert`: on the negative
 * image, so that bright values are spread instead of dark ones. A constant image stays as it is.
 */
export function changeGamma(x: Float32Array, gamma: number, invert = false): void {
  const { low, high, mean, sd } = momentsOf(x);
  const span = high - low;
  if (!(span > 1e-7)) return;
  for (let i = 0; i <= cells; i++) powers[i] = (i / cells) ** gamma;
  powers[cells + 1] = powers[cells];
  const scale = (invert ? -cells : cells) / span;
  const origin = invert ? high : low;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < x.length; i++) {
    const at = (x[i] - origin) * scale;
    // Rounding may put the place a hair below 0, where `| 0` still gives 0, or above the last cell, which has a spare one.
    const cell = at | 0;
    const v = powers[cell] + (at - cell) * (powers[cell + 1] - powers[cell]);
    x[i] = v;
    sum += v;
    squares += v * v;
  }
  const after = sum / x.length;
  const spread = Math.sqrt(Math.max(0, squares / x.length - after * after));
  const gain = ((invert ? -1 : 1) * sd) / Math.max(spread, 1e-8);
  for (let i = 0; i < x.length; i++) x[i] = mean + (x[i] - after) * gain;
}
