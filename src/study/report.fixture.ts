import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseNet } from "../net/make.ts";
import { prunableLayers, removeChannels } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { writeFileAtomic } from "../util/files.ts";
import { type Random, random } from "../util/random.ts";
import { runIdentity, sizeCounts } from "./record.ts";
import type { StudyData } from "./report-load.ts";
import type { CaseScores, Pick, Removal, RunResult, SizeResult, StudyArm, StudyFile } from "./types.ts";

/** A made-up study whose truth is known: Dice = arm's value + case's own + run's own + noise. */
export interface Truth {
  folds?: number;
  seeds?: number;
  casesPerFold?: number;
  /** Dice that a random channel loses against STAMP. */
  randomLoss?: number;
  /** Dice that a flat net loses against a doubling one of the same first width, and gains on one of equal size. */
  flatLoss?: number;
  flatGain?: number;
  /** Dice that a bottleneck of one channel loses, without and with skips. */
  lossWithoutSkips?: number;
  lossWithSkips?: number;
  /** A channel goes with a chance that rises with this power of its layer's width; 0 is uniform. */
  preference?: number;
  /** Standard deviation of the noise of one score, and of what all scores of a run have in common. */
  noise?: number;
  runNoise?: number;
  /** Sizes before the chosen one have test scores too. */
  testCurves?: boolean;
}

const plan = { levels: 5, inputChannels: 1, outputChannels: 3 };
const window: [number, number, number] = [32, 48, 32];

/** The arms of the paper's study. */
export const paperArms: StudyArm[] = [
  { id: "unet-8", label: "unet:8", kind: "train", net: "unet:8", role: "reference" },
  { id: "unet-4", label: "unet:4", kind: "train", net: "unet:4" },
  { id: "lean-4", label: "lean:4", kind: "train", net: "lean:4" },
  { id: "lean-8", label: "lean:8", kind: "train", net: "lean:8" },
  { id: "lean-24", label: "lean:24", kind: "train", net: "lean:24", pair: "unet-4" },
  pruneArm("stamp"),
  pruneArm("random-at-stamp-layer"),
  pruneArm("random-at-largest"),
  skipArm("all", 1),
  skipArm("all", 4),
  skipArm("all", 64),
  skipArm("none", 1),
  skipArm("none", 4),
  skipArm("none", 64),
  casesArm("unet:4", 10),
  casesArm("unet:4", 40),
  casesArm("lean:8", 10),
  casesArm("lean:8", 40),
];

function pruneArm(pick: Pick): StudyArm {
  return { id: pick, label: `${pick} from unet:4`, kind: "prune", net: "unet:4", pick, criterion: "l2" };
}

function skipArm(skips: "all" | "none", bottleneck: number): StudyArm {
  const label = `unet:4, ${skips === "all" ? "skips" : "no skips"}, bottleneck ${bottleneck}`;
  return { id: `skips-${skips}-${bottleneck}`, label, kind: "train", net: "unet:4", skips, bottleneck };
}

function casesArm(net: string, trainingCases: number): StudyArm {
  const id = `${net.replace(":", "-")}-${trainingCases}-cases`;
  return { id, label: `${net}, ${trainingCases} cases`, kind: "train", net, trainingCases };
}

/** A finished study with these arms. */
export function madeUpStudy(truth: Truth = {}, arms: StudyArm[] = paperArms): StudyData {
  const { folds = 3, seeds = 2, casesPerFold = 14 } = truth;
  const study: StudyFile = {
    version: 1,
    name: "paper",
    data: "made-up",
    scale: "small",
    arms,
    folds: Array.from({ length: folds }, (_, i) => i),
    seeds: Array.from({ length: seeds }, (_, i) => i + 1),
    budgets: { training: "1000 steps", recovery: "50 steps" },
    lunet: "0.1.0",
    classes: ["anterior", "posterior"],
    tolerance: 1,
    patch: window,
  };
  const results: RunResult[] = [];
  arms.forEach((arm, armNumber) => {
    for (const fold of study.folds) {
      for (const seed of study.seeds) {
        const run = String(results.length + 1).padStart(4, "0");
        results.push(madeUpRun({ truth, arm, armNumber, fold, seed, run, casesPerFold }));
      }
    }
  });
  return { study, results, failures: [], open: [] };
}

interface RunAbout {
  truth: Truth;
  arm: StudyArm;
  armNumber: number;
  fold: number;
  seed: number;
  run: string;
  casesPerFold: number;
}

function madeUpRun({ truth, arm, armNumber, fold, seed, run, casesPerFold }: RunAbout): RunResult {
  const draw = random(armNumber, fold, seed, 7);
  const own = (truth.runNoise ?? 0.002) * draw.normal();
  const net = startOf(arm);
  const sizes: { spec: NetSpec; step: number }[] = [{ spec: net, step: 0 }];
  const removals: Removal[] = [];
  if (arm.kind === "prune") pruneMadeUp(net, arm, truth, draw, sizes, removals);
  const total = channelsOf(net);
  const scored = sizes.map(({ spec, step }): SizeResult => {
    const left = channelsOf(spec) / total;
    // Nothing is lost down to a third of the channels, then more and more.
    const lost = 0.3 * Math.exp(-14 * left);
    const quality = 0.885 + own - lost - (step > 0 ? lossOf(arm, truth) : 0) + qualityOf(arm, truth);
    const counts = sizeCounts(spec, window);
    const scores = (at: number): CaseScores => madeUpScores(quality, at, casesPerFold, draw, truth.noise ?? 0.006);
    return {
      step,
      ...counts,
      model: `runs/${run}/sizes/step-${String(step).padStart(4, "0")}.safetensors`,
      validation: scores(100 + fold),
      test: scores(fold),
      latencyMs: 2 + counts.macs / 3e8,
    };
  });
  const mean = (size: SizeResult): number =>
    Object.values(size.validation).reduce((sum, score) => sum + score.dice[0] + score.dice[1], 0);
  const chosen = scored.reduce((best, size, i) => (mean(size) > mean(scored[best]) ? i : best), 0);
  if (truth.testCurves === false) for (const [i, size] of scored.entries()) if (i !== chosen) size.test = null;
  return {
    ...runIdentity({ run, arm: arm.id, label: arm.label, kind: arm.kind, fold, seed }),
    trainingCases: arm.trainingCases ?? 160,
    sizes: scored,
    chosen,
    seconds: 60 + 30 * scored.length,
    ...(arm.kind === "prune" ? { removals } : {}),
  };
}

function startOf(arm: StudyArm): NetSpec {
  const net = parseNet(arm.net, { ...plan, convs: arm.convs ?? 2 });
  if (arm.skips !== undefined) net.skips = net.skips.map(() => arm.skips !== "none");
  if (arm.bottleneck !== undefined) net.bottleneck = net.bottleneck.map(() => arm.bottleneck!);
  return net;
}

function channelsOf(net: NetSpec): number {
  return prunableLayers(net).reduce((sum, { width }) => sum + width, 0);
}

function lossOf(arm: StudyArm, truth: Truth): number {
  return arm.kind === "prune" && arm.pick !== "stamp" ? (truth.randomLoss ?? 0) : 0;
}

/** What the truth says about a trained arm, against 0. */
function qualityOf(arm: StudyArm, truth: Truth): number {
  if (arm.kind === "prune") return 0;
  let quality = arm.trainingCases ? -0.4 / arm.trainingCases : 0;
  if (arm.net === "lean:24") quality += truth.flatGain ?? 0.012;
  else if (arm.net.startsWith("lean")) quality -= truth.flatLoss ?? 0.001;
  if (arm.bottleneck !== undefined) {
    const loss = arm.skips === "none" ? (truth.lossWithoutSkips ?? 0.06) : (truth.lossWithSkips ?? 0.002);
    quality -= (loss * Math.log2(64 / arm.bottleneck)) / 6 + (arm.skips === "none" ? 0.05 : 0);
  }
  return quality;
}

/** Removes 24 channels a step down to 40. */
function pruneMadeUp(
  net: NetSpec,
  arm: StudyArm,
  truth: Truth,
  draw: Random,
  sizes: { spec: NetSpec; step: number }[],
  removals: Removal[],
): void {
  let spec = net;
  for (let step = 1; channelsOf(spec) - 24 >= 40; step++) {
    for (let k = 0; k < 24; k++) {
      const layers = prunableLayers(spec).filter(({ width }) => width > 1);
      const weights = layers.map(({ width }) => width * width ** (truth.preference ?? 0.8));
      let at = draw.next() * weights.reduce((a, b) => a + b, 0);
      const drawn = layers.find((_, i) => {
        at -= weights[i];
        return at < 0;
      });
      const widest = layers.reduce((a, b) =>
        b.width > a.width || (b.width === a.width && b.level >= a.level) ? b : a,
      );
      const layer = arm.pick === "random-at-largest" ? widest : (drawn ?? layers[0]);
      spec = removeChannels(spec, [{ layer: layer.name, channels: [0] }]).net;
      removals.push({ layer: layer.name, level: layer.level, step });
    }
    sizes.push({ spec, step });
  }
}

function madeUpScores(quality: number, group: number, cases: number, draw: Random, noise: number): CaseScores {
  const scores: CaseScores = {};
  for (let i = 0; i < cases; i++) {
    const own = 0.02 * random(group, i, 3).normal(); // the same for every arm
    const dice = [0.008, -0.008].map((c) => Math.min(0.99, quality + c + own + noise * draw.normal()));
    scores[`case_${group}_${String(i).padStart(2, "0")}`] = {
      dice,
      hd95: dice.map((d) => Math.max(0, 12 * (1 - d))),
      nsd: dice.map((d) => Math.min(1, 0.1 + d)),
    };
  }
  return scores;
}

/** Puts a study on the disk as the runner would. */
export async function writeStudy(folder: string, data: StudyData): Promise<void> {
  const write = (path: string, value: unknown) => writeFileAtomic(join(folder, path), `${JSON.stringify(value)}\n`);
  await mkdir(join(folder, "runs"), { recursive: true });
  await write("study.json", data.study);
  for (const result of data.results) {
    await write(`runs/${result.run}/config.json`, runIdentity(result));
    await write(`runs/${result.run}/result.json`, result);
  }
  for (const { config, message } of data.failures) {
    await write(`runs/${config.run}/config.json`, config);
    await write(`runs/${config.run}/failure.json`, { version: 1, run: config.run, message });
  }
  for (const config of data.open) await write(`runs/${config.run}/config.json`, config);
}
