import type { Interval } from "../evaluate/bootstrap.ts";
import { inOrder, levelsOf } from "./claims-arms.ts";
import { chosenSize, runsOf } from "./claims-compare.ts";
import { type ClaimPart, decided, untested, type Verdict } from "./claims-verdict.ts";
import { counted, listed, percent, pWords, signed } from "./claims-words.ts";
import type { StudyData } from "./report-load.ts";
import { average, median, spearman, studentInterval } from "./statistics.ts";
import { uniformTails } from "./statistics-uniform.ts";
import type { RunResult, StudyArm } from "./types.ts";

/** What one run's pruning took, up to half of all channels: later every layer has lost most of its channels, whatever came first. */
export interface RunStructure {
  arm: string;
  run: string;
  fold: number;
  seed: number;
  /** Channels of all layers at the start. */
  channels: number;
  /** Removals looked at: the first half of the channels, or all where fewer were removed. */
  removed: number;
  /** Layers that had the most channels at the start, the channels they held, and how many of the removals were theirs. */
  widest: { layers: string[]; channels: number; removed: number };
  levels: { level: number; channels: number; removed: number }[];
  /** Spearman correlation over layers between channels at the start and share of them removed; null for equal widths. */
  correlation: number | null;
  /** Share of removals from the widest layers up to the size that was best on validation; null where that is the whole net. */
  shareAtChosen: number | null;
}

/** Channels of every layer before pruning. */
export function startWidths(run: RunResult): Record<string, number> {
  const first = run.sizes[0];
  const widths = { ...first.widths };
  for (const { layer, step } of run.removals ?? []) if (step <= first.step) widths[layer] = (widths[layer] ?? 0) + 1;
  return widths;
}

/** How one pruning run took its channels; null where it removed none. */
export function runStructure(run: RunResult): RunStructure | null {
  const widths = startWidths(run);
  const layers = inOrder(Object.keys(widths));
  const sum = (names: readonly string[]): number => names.reduce((total, name) => total + widths[name], 0);
  const channels = sum(layers);
  const removals = run.removals ?? [];
  const first = removals.slice(0, Math.ceil(channels / 2));
  if (first.length === 0) return null;

  const most = Math.max(...Object.values(widths));
  const widest = layers.filter((name) => widths[name] === most);
  const fromWidest = (list: typeof first): number => list.filter(({ layer }) => widest.includes(layer)).length;
  const levelOf = levelsOf(layers);
  const levels = [...new Set(levelOf.values())].sort((a, b) => a - b);
  const lost = new Map(layers.map((name) => [name, 0]));
  for (const { layer } of first) lost.set(layer, (lost.get(layer) ?? 0) + 1);
  const upToChosen = removals.filter(({ step }) => step <= chosenSize(run).step);
  return {
    arm: run.arm,
    run: run.run,
    fold: run.fold,
    seed: run.seed,
    channels,
    removed: first.length,
    widest: { layers: widest, channels: sum(widest), removed: fromWidest(first) },
    levels: levels.map((level) => ({
      level,
      channels: sum(layers.filter((name) => levelOf.get(name) === level)),
      removed: first.filter(({ layer }) => levelOf.get(layer) === level).length,
    })),
    correlation: spearman(
      layers.map((name) => widths[name]),
      layers.map((name) => lost.get(name)! / widths[name]),
    ),
    shareAtChosen: upToChosen.length > 0 ? fromWidest(upToChosen) / upToChosen.length : null,
  };
}

/** Structures of all finished runs of pruning arms. */
export function structures(data: StudyData): RunStructure[] {
  return data.results.filter((run) => run.kind === "prune").flatMap((run) => runStructure(run) ?? []);
}

const statement = "Pruning takes more channels from the widest layers than chance would";
const add = "add an arm that prunes a net with unequal widths by STAMP, such as unet:4.";

/** Claim 1: pruning finds a structure. */
export function structureClaim(data: StudyData): ClaimPart[] {
  const arms = data.study.arms.filter((arm) => arm.kind === "prune" && (arm.pick ?? "stamp") === "stamp");
  const answers = arms.flatMap((arm) => structureOf(data, arm) ?? []);
  if (answers.length === 0) return [untested("1", statement, add)];
  const runs = answers.flatMap((answer) => answer.runs);
  return [
    {
      id: "1",
      statement,
      verdict: decided(answers.map((answer) => answer.verdict)),
      sentences: answers.map((answer) => answer.sentence),
      cases: 0,
      folds: new Set(runs.map((run) => run.fold)).size,
      seeds: new Set(runs.map((run) => run.seed)).size,
      comparisons: [],
    },
  ];
}

function structureOf(
  data: StudyData,
  arm: StudyArm,
): { verdict: Verdict; sentence: string; runs: RunStructure[] } | null {
  // Equal widths give no widest layer.
  const runs = runsOf(data, arm.id).flatMap((run) => {
    const one = runStructure(run);
    return one && one.widest.channels < one.channels ? [one] : [];
  });
  if (runs.length === 0) return null;
  const excess = (run: RunStructure): number => run.widest.removed / run.removed - run.widest.channels / run.channels;
  const byFold = [...Map.groupBy(runs, (run) => run.fold).values()].map((group) => average(group.map(excess)));
  const tails = uniformTails(
    runs.map(({ channels, removed, widest }) => ({
      total: channels,
      marked: widest.channels,
      removed,
      hits: widest.removed,
    })),
  );
  const more = tails.upper < 0.025 && byFold.every((value) => value > 0);
  const fewer = tails.lower < 0.025 && byFold.every((value) => value < 0);
  return {
    runs,
    verdict: more ? "shown" : fewer ? "contradicted" : "not shown",
    sentence: structureSentence(
      arm,
      runs,
      studentInterval(byFold),
      Math.min(1, 2 * Math.min(tails.upper, tails.lower)),
    ),
  };
}

const whole = (share: number): string => signed(100 * share, 0);

function structureSentence(arm: StudyArm, runs: readonly RunStructure[], interval: Interval | null, p: number): string {
  const [{ widest, channels }] = runs;
  const shares = runs.map((run) => run.widest.removed / run.removed);
  const expected = widest.channels / channels;
  const above = shares.filter((share) => share > expected).length;
  const removed = median(runs.map((run) => run.removed));
  const range =
    runs.length > 1 ? ` (${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} over runs)` : "";
  const over = interval
    ? `; excess over folds ${whole(interval.mean)} percentage points, 95 % interval ${whole(interval.low)} to ${whole(interval.high)}`
    : "";
  const correlations = runs.flatMap((run) => run.correlation ?? []);
  const rho =
    correlations.length > 0
      ? ` Share lost against width over layers: Spearman ${signed(average(correlations), 2)}.`
      : "";
  return (
    `${arm.label}: of the first ${removed} of ${channels} channels removed, ${percent(average(shares))}${range} came from ` +
    `${listed(widest.layers)}, which held ${percent(expected)} of all channels: more than their share in ${above} of ` +
    `${counted(runs.length, "run")} (${pWords(p)} against removal by chance${over}).${rho}`
  );
}
