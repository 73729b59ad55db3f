import { isPlain, settingsKey } from "./claims-arms.ts";
import { type Comparison, correct, difference, type Metric } from "./claims-compare.ts";
import { flatClaim } from "./claims-flat.ts";
import { randomClaim } from "./claims-random.ts";
import { skipsClaim } from "./claims-skips.ts";
import { structureClaim } from "./claims-structure.ts";
import { type Claim, type ClaimPart, together } from "./claims-verdict.ts";
import type { StudyData } from "./report-load.ts";
import type { StudyArm, StudyFile } from "./types.ts";

/** A difference in Dice below this counts as none, unless the study says otherwise: one point. */
const defaultMargin = 0.01;

export function marginOf(study: StudyFile): number {
  return study.margin ?? defaultMargin;
}

/** The four claims of the paper (arXiv 2512.03834), answered from a study's data. */
export function answerClaims(data: StudyData): Claim[] {
  const margin = marginOf(data.study);
  const claim = (id: number, title: string, parts: ClaimPart[]): Claim => ({
    id,
    title,
    verdict: together(parts.map((part) => part.verdict)),
    parts,
  });
  return [
    claim(
      1,
      "Pruning a U-Net mostly removes channels of the widest layers: it finds a structure",
      structureClaim(data),
    ),
    claim(2, "Which channel goes does not matter: a random one does as well", randomClaim(data, margin)),
    claim(3, "Flat widths need far fewer parameters for the same Dice", flatClaim(data, margin)),
    claim(4, "This needs the skip connections", skipsClaim(data, margin)),
  ];
}

/** The arm that the others are compared with: the one with the role "reference", else the first trained one. */
export function referenceArm(study: StudyFile): StudyArm | null {
  return study.arms.find((arm) => arm.role === "reference") ?? study.arms.find((arm) => arm.kind === "train") ?? null;
}

/**
 * Every arm against the reference, or, with fewer training cases, against the reference's net trained on as many, where
 * the study has it. One family a metric.
 */
export function referenceComparisons(data: StudyData, metric: Metric): Comparison[] {
  const reference = referenceArm(data.study);
  if (!reference) return [];
  const peer = (arm: StudyArm): StudyArm =>
    data.study.arms.find(
      (other) =>
        other.kind === reference.kind &&
        other.trainingCases === arm.trainingCases &&
        settingsKey(other, "trainingCases") === settingsKey(reference, "trainingCases"),
    ) ?? reference;
  const comparisons = data.study.arms.flatMap((arm) => {
    const other = peer(arm);
    return other.id === arm.id ? [] : [difference(data, arm, other, `against the reference, ${metric}`, metric)];
  });
  return correct(comparisons.filter((c) => c.interval !== null));
}

/** Arms that belong on one axis with each other: plain ones where there are any. */
export function mainArms(study: StudyFile): StudyArm[] {
  const plain = study.arms.filter(isPlain);
  return plain.length > 0 ? plain : study.arms;
}
