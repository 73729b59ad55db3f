import type { TestTime } from "../predict/postprocess.ts";
import { counted } from "../util/counted.ts";
import type { Configuration } from "./configurations.ts";

/** A way to predict: the models of one configuration or of several, and what else is averaged. */
export interface Candidate extends TestTime {
  name: string;
  /** Indices of the configurations. */
  members: number[];
}

/** Each configuration, then, as nnU-Net does, the mean of every two, and that of all where there are more. */
export function candidatesOf(configurations: readonly Configuration[], ensembles: boolean): Candidate[] {
  const plain = (members: number[]): Candidate => ({
    name: members.map((m) => configurations[m].name).join(" + "),
    members,
    mirror: false,
    shifts: 0,
  });
  const indices = configurations.map((_, i) => i);
  const singles = indices.map((i) => plain([i]));
  if (!ensembles) return singles;
  const groups = indices.flatMap((a) => indices.slice(a + 1).map((b) => [a, b]));
  if (indices.length > 2) groups.push(indices);
  return [...singles, ...groups.filter((members) => share(members, configurations)).map(plain)];
}

/** Models vote on one grid. */
function share(members: readonly number[], configurations: readonly Configuration[]): boolean {
  return new Set(members.map((m) => configurations[m].models[0].plan.spacing.join())).size === 1;
}

const triedShifts = 3;

/** The same with what may be averaged at prediction: mirror images where a plan allows them, shifts, and both. */
export function withTestTime(candidate: Candidate, configurations: readonly Configuration[]): Candidate[] {
  const allowed = candidate.members.some((m) => configurations[m].models[0].plan.mirrorAxes.length > 0);
  const named = (mirror: boolean, shifts: number): Candidate => {
    const words = [...(mirror ? ["mirror"] : []), ...(shifts > 0 ? [counted(shifts, "shift")] : [])];
    return { ...candidate, name: `${candidate.name}, ${words.join(", ")}`, mirror, shifts };
  };
  return [
    ...(allowed ? [named(true, 0)] : []),
    named(false, triedShifts),
    ...(allowed ? [named(true, triedShifts)] : []),
  ];
}
