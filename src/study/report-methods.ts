import { pointsOf } from "./claims-words.ts";
import type { StudyFile } from "./types.ts";

/** How the report was computed, in paragraphs that can go into a paper. */
export function methods(study: StudyFile, margin: number): string[] {
  const unit = study.groups ? "patient" : "case";
  return [
    "Each arm was trained once for every fold and seed, all arms on the same split of the cases into training, validation and " +
      "test cases of a fold. Of a pruning curve the size with the best mean Dice on the validation cases was chosen, and its score on the test cases " +
      "is reported, so that the choice does not flatter it.",
    `A case's score is the mean over foreground classes. Arms are compared on the folds and seeds that both finished. The ${unit} is the unit of ` +
      `analysis: its differences are averaged over seeds${study.groups ? " and over the patient's cases" : ""} first. Intervals are 95 % ` +
      `percentile intervals of 10,000 bootstrap resamples, drawn over ${unit}s and, independently, over runs of training (Owen 2007), ` +
      "so that they show what other cases and training again would change.",
    `Tests are two-sided Wilcoxon signed-rank tests over ${unit}s: zero differences dropped, the exact distribution for at most 25 differences without ` +
      "ties, else the normal approximation with correction for ties and continuity. They take the trained nets as given. Within each family of " +
      "comparisons (the questions of one claim; all arms against the reference, for one metric) p values are corrected by Holm's method.",
    `"As good" is read from the interval: shown where it excludes a loss of ${pointsOf(margin)} of Dice or more, contradicted where all of it lies beyond ` +
      `that loss, else not shown. "Better" and "worse" need an interval on one side of zero and a corrected p below 0.05. Fewer than six ${unit}s or a ` +
      "single run of each arm give no verdict. A claim holds where all its parts do.",
    "Removals are looked at until half of a net's channels are gone, since later every layer has lost most of its channels, whatever came first. " +
      "They are compared with removal of channels by pure chance (exact hypergeometric probabilities, two-sided, over all runs together). " +
      "STAMP divides the importance of a layer's channels by their norm over the layer, which by itself makes channels of wide layers look less important.",
  ];
}
