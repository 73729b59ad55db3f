import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { defaults } from "./settings.ts";
import type { PruneSettings } from "./types.ts";

/** Seconds of the whole net, as measured at the start of a run. */
export interface Pace {
  /** A training step; ranking on a batch takes about as long. */
  step: number;
  /** A check on the validation cases; 0 without. */
  check: number;
}

/** What is left of a curve: the work of each of its sizes, the next one first, as a share of the whole net's. */
export interface CurveAhead {
  shares: readonly number[];
  /** Removals before the first of them. */
  done: number;
}

type Costs = Pick<PruneSettings, "rankBatches" | "checkEvery">;

/** Making the smaller net, compiling its programs, writing files: seconds a size, on a machine of 2024. */
const perSize = 1;
/** Part of the time that is left unplanned. */
const reserveShare = 0.03;

/** Seconds of all but the training over the sizes ahead. */
function fixedSeconds({ shares, done }: CurveAhead, { rankBatches, checkEvery }: Costs, pace: Pace): number {
  return shares.reduce((sum, share, i) => {
    const last = i === shares.length - 1;
    const checked = last || (done + i) % checkEvery === 0;
    return sum + perSize + share * ((checked ? pace.check : 0) + (last ? 0 : rankBatches * pace.step));
  }, 0);
}

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/**
 * Steps of the warm-up and of each recovery that fill `seconds`. What was `stated` stays; the rest is shared out as the defaults
 * do, ten epochs before the first removal for one after each. Throws UserError where the time is too short for one step after
 * each removal, with the time that would do.
 */
export function planLengths(
  seconds: number,
  ahead: CurveAhead,
  pace: Pace,
  options: { pruning: Costs & Pick<PruneSettings, "remove">; stated: { warm?: number; recovery?: number } },
): { warmSteps: number; recoverySteps: number } {
  const { pruning, stated } = options;
  const ratio = defaults.warmEpochs / defaults.recoveryEpochs;
  const fixed = fixedSeconds(ahead, pruning, pace);
  const recovered = total(ahead.shares.slice(1));
  const left = seconds * (1 - reserveShare) - fixed;
  const need = (warm: number, recovery: number): number => pace.step * (warm + recovery * recovered);
  let { warm, recovery } = stated;
  if (recovery === undefined) {
    const share = warm === undefined ? ratio + recovered : recovered;
    recovery = Math.max(1, Math.floor((left - need(warm ?? 0, 0)) / (pace.step * share)));
    warm ??= ratio * recovery;
  }
  warm ??= Math.max(1, Math.floor((left - need(0, recovery)) / pace.step));
  if (need(warm, recovery) > left) {
    const minutes = Math.ceil((need(warm, recovery) + fixed) / (1 - reserveShare) / 60);
    fail(
      `Expected --minutes to leave time for training between about ${counted(ahead.shares.length - 1, "removal")}, but they take at least ` +
        `${counted(minutes, "minute")}; ask for more time, remove more channels at a time (--remove, now ${pruning.remove}), or check less often ` +
        `(--check-every, --check-cases).`,
    );
  }
  return { warmSteps: warm, recoverySteps: recovery };
}

/** A plan is kept while it ends late by no more than this share of the time left, or early by this one. */
const lateShare = 0.02;
const earlyShare = 0.1;

/**
 * Steps of each recovery that fill the time left when removals or steps turned out slower or quicker than planned; null while the
 * steps planned do well enough. `ahead` begins with the size after the next removal; `slower` is what sizes took against their
 * estimates.
 */
export function replanRecovery(
  seconds: number,
  ahead: CurveAhead,
  pace: Pace,
  options: { pruning: Costs; recoverySteps: number; slower: number },
): number | null {
  const { pruning, recoverySteps, slower } = options;
  if (ahead.shares.length === 0) return null;
  const [first] = ahead.shares;
  const ranking = first * pruning.rankBatches * pace.step;
  const left = seconds / slower - fixedSeconds(ahead, pruning, pace) - ranking;
  const each = pace.step * total(ahead.shares);
  const early = left - recoverySteps * each;
  if (early >= -lateShare * left && early <= earlyShare * left) return null;
  const fits = Math.max(1, Math.floor(left / each));
  // Half of what was gained, since the pace goes up and down: the next sizes can have the rest.
  const planned = fits > recoverySteps ? Math.ceil((fits + recoverySteps) / 2) : fits;
  return planned === recoverySteps ? null : planned;
}

/** Estimated seconds of one size: its training, its check, and the ranking that led to it. */
export function sizeSeconds(share: number, steps: number, checked: boolean, pace: Pace, pruning: Costs): number {
  return perSize + share * ((steps + pruning.rankBatches) * pace.step + (checked ? pace.check : 0));
}
