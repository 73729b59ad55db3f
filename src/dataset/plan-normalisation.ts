import { fail } from "../util/errors.ts";
import type { Fingerprint } from "./measure.ts";
import type { Normalisation } from "./types.ts";

const ways = "zscore, zscore-unclipped, ct or scale:NUMBER (voxels divided by it)";

/**
 * "ct", "zscore", "zscore-unclipped" or "scale:255" for every channel, or one for each with commas between. UserError for
 * another word, or another number of them than there are channels.
 */
export function parseNormalisations(text: string, fingerprint: Pick<Fingerprint, "foreground">): Normalisation[] {
  const channels = fingerprint.foreground.length;
  const words = text.split(",").map((word) => word.trim());
  if (words.length !== 1 && words.length !== channels) {
    fail(
      `Expected one normalisation, or one for each of the ${channels} channels, but got ${words.length}: "${text}".`,
    );
  }
  return fingerprint.foreground.map((_, c) => {
    const word = words[words.length === 1 ? 0 : c];
    const divisor = Number(/^scale:(.+)$/.exec(word)?.[1]);
    if (word === "ct") return ctScale(fingerprint, c);
    if (word === "zscore") return { kind: "zscore", percentiles: [0.5, 99.5] };
    if (word === "zscore-unclipped") return { kind: "zscore", percentiles: null };
    if (Number.isFinite(divisor) && divisor > 0) return { kind: "scale", divisor };
    return fail(`Expected --normalise to be ${ways}, but got "${word}".`);
  });
}

/** What is known of a channel's scale by its name; nnU-Net's names of schemes (noNorm, rgb_to_0_1) are understood. */
export function normalisationOf(
  name: string,
  channel: number,
  fingerprint: Pick<Fingerprint, "foreground">,
  reasons: string[],
): Normalisation {
  const known = name.trim().toLowerCase();
  if (known === "ct") {
    const scale = ctScale(fingerprint, channel);
    reasons.push(
      `Channel "${name}" has an absolute scale: clipped to the foreground's range ${scale.low.toFixed(1)} to ${scale.high.toFixed(1)}, then the set's mean and standard deviation.`,
    );
    return scale;
  }
  const divisor = { nonorm: 1, rgb_to_0_1: 255 }[known];
  if (divisor !== undefined) {
    reasons.push(
      `Channel "${name}" is ${divisor === 1 ? "taken as it is" : `divided by ${divisor}`}, as nnU-Net does with channels of this name.`,
    );
    return { kind: "scale", divisor };
  }
  reasons.push(
    `Channel "${name}" has no absolute scale: each scan is clipped to its percentiles 0.5 to 99.5, then z-scored.`,
  );
  return { kind: "zscore", percentiles: [0.5, 99.5] };
}

function ctScale({ foreground }: Pick<Fingerprint, "foreground">, channel: number): Normalisation & { kind: "ct" } {
  const { percentile005, percentile995, mean, sd } = foreground[channel];
  // A foreground of one value has no spread, and a scale needs one.
  return { kind: "ct", low: percentile005, high: percentile995, mean, sd: Math.max(sd, 1e-8) };
}
