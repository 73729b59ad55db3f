import type { Provenance } from "./types.ts";

/** Ids of the cases that a model was trained on, or a model that it learned from: on these its scores are too good. */
export function knownCases({ trainingCases, teacherCases = [] }: Provenance): Set<string> {
  return new Set([...trainingCases, ...teacherCases]);
}
