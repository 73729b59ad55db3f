/**
 * Scores of voxels with the true answers: rows of logits over mutually exclusive classes. A region of a sigmoid net is a row of two
 * classes with the logits 0 and z, since sigmoid(z) = softmax([0, z])[1].
 */
export interface VoxelSample {
  classes: number;
  /** [rows, classes]. */
  logits: Float32Array;
  /** [rows]: index of the true class. */
  truth: Uint8Array;
}

/** Rows whose confidence lies in one interval of equal width. */
export interface ConfidenceBin {
  rows: number;
  /** Mean probability of the predicted class; 0 where the bin is empty. */
  confidence: number;
  /** Share of rows whose predicted class is the true one; 0 where the bin is empty. */
  accuracy: number;
}

/** What a model file keeps of {@link calibrate}. */
export interface Calibration {
  /** Logits are divided by it before softmax or sigmoid. */
  temperature: number;
  /** Expected calibration error and mean negative log-likelihood (nats) at temperature 1 and at this one. */
  eceBefore: number;
  eceAfter: number;
  nllBefore: number;
  nllAfter: number;
  /** Cases and voxels that it was fitted to. */
  cases: number;
  voxels: number;
}

/** Bins of Guo et al. 2017. */
const defaultBins = 15;
/** Temperatures from 1 / 50 to 50: beyond, probabilities are those of a coin or of an oracle. */
const limit = 50;

/** Mean of -log softmax(z / T) at the true class, in nats. */
export function meanNll(sample: VoxelSample, temperature = 1): number {
  const { classes, logits, truth } = sample;
  const inverse = 1 / temperature;
  let sum = 0;
  for (let row = 0, at = 0; row < truth.length; row++, at += classes) {
    const top = largest(logits, at, classes);
    let total = 0;
    for (let k = 0; k < classes; k++) total += Math.exp((logits[at + k] - top) * inverse);
    sum += Math.log(total) - (logits[at + truth[row]] - top) * inverse;
  }
  return sum / truth.length;
}

/**
 * Expected calibration error (Guo et al. 2017, equation 3): rows are binned by the probability of their predicted class, intervals
 * ((m - 1) / M, m / M]; the error is the mean over rows of |accuracy - confidence| of their bin.
 */
export function calibrationError(
  sample: VoxelSample,
  temperature = 1,
  bins = defaultBins,
): { ece: number; bins: ConfidenceBin[] } {
  const { classes, logits, truth } = sample;
  const found = Array.from({ length: bins }, (): ConfidenceBin => ({ rows: 0, confidence: 0, accuracy: 0 }));
  for (let row = 0, at = 0; row < truth.length; row++, at += classes) {
    const top = largest(logits, at, classes);
    let total = 0;
    let winner = -1;
    for (let k = 0; k < classes; k++) {
      total += Math.exp((logits[at + k] - top) / temperature);
      if (winner < 0 && logits[at + k] === top) winner = k;
    }
    const confidence = 1 / total;
    const bin = found[Math.max(0, Math.ceil(confidence * bins) - 1)];
    bin.rows++;
    bin.confidence += confidence;
    if (winner === truth[row]) bin.accuracy++;
  }
  let ece = 0;
  for (const bin of found) {
    ece += Math.abs(bin.accuracy - bin.confidence) / truth.length;
    bin.confidence /= bin.rows || 1;
    bin.accuracy /= bin.rows || 1;
  }
  return { ece, bins: found };
}

/**
 * The temperature with the smallest {@link meanNll} (temperature scaling, Guo et al. 2017, section 4.2), between 1/50 and 50. The
 * likelihood is convex in 1 / T, so Newton's method inside a shrinking bracket finds it. Never worse than temperature 1.
 */
export function fitTemperature(sample: VoxelSample): number {
  let low = 1 / limit;
  let high = limit;
  let inverse = 1;
  for (let i = 0; i < 100 && high / low > 1 + 1e-9; i++) {
    const { slope, curvature } = derivatives(sample, inverse);
    if (slope === 0) break;
    if (slope > 0) high = inverse;
    else low = inverse;
    const newton = inverse - slope / curvature;
    const next = newton > low && newton < high ? newton : Math.sqrt(low * high);
    if (Math.abs(next / inverse - 1) < 1e-9) break;
    inverse = next;
  }
  const temperature = 1 / inverse;
  return meanNll(sample, temperature) < meanNll(sample) ? temperature : 1;
}

/** Fits a temperature to a sample of `cases` cases and measures what it changes on it. `voxels`: rows of a sigmoid net are more. */
export function calibrate(sample: VoxelSample, { cases, voxels }: { cases: number; voxels: number }): Calibration {
  const temperature = fitTemperature(sample);
  return {
    temperature,
    eceBefore: calibrationError(sample).ece,
    eceAfter: calibrationError(sample, temperature).ece,
    nllBefore: meanNll(sample),
    nllAfter: meanNll(sample, temperature),
    cases,
    voxels,
  };
}

/** First and second derivative of {@link meanNll} with respect to b = 1 / T: means of E[z] - z_true and of Var[z] under softmax(b z). */
function derivatives(sample: VoxelSample, inverse: number): { slope: number; curvature: number } {
  const { classes, logits, truth } = sample;
  let slope = 0;
  let curvature = 0;
  for (let row = 0, at = 0; row < truth.length; row++, at += classes) {
    const top = largest(logits, at, classes);
    let total = 0;
    let first = 0;
    let second = 0;
    for (let k = 0; k < classes; k++) {
      const z = logits[at + k] - top;
      const e = Math.exp(z * inverse);
      total += e;
      first += e * z;
      second += e * z * z;
    }
    const mean = first / total;
    slope += mean - (logits[at + truth[row]] - top);
    curvature += second / total - mean * mean;
  }
  return { slope: slope / truth.length, curvature: curvature / truth.length };
}

function largest(values: Float32Array, at: number, count: number): number {
  let top = values[at];
  for (let k = 1; k < count; k++) if (values[at + k] > top) top = values[at + k];
  return top;
}
