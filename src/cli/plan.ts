import { Command, InvalidArgumentError } from "commander";
import { fingerprintSound, skippedText } from "../dataset/bad-cases.ts";
import { fingerprintDataset } from "../dataset/fingerprint.ts";
import type { Fingerprint } from "../dataset/measure.ts";
import { planDataset } from "../dataset/plan.ts";
import { readDataset } from "../dataset/read.ts";
import type { Plan } from "../dataset/types.ts";
import { availableBytes, sizeText } from "../train/memory.ts";
import { checkStep, planWithin, rateText } from "../train/plan-budget.ts";
import { type NetProposals, plannedNet, proposeNets } from "../train/plan-nets.ts";
import { defaultNet } from "../train/resolve-setup.ts";
import { measureStepRate, type StepRate } from "../train/step-rate.ts";
import { counted } from "../util/counted.ts";
import { writeFileAtomic } from "../util/files.ts";
import { textTable } from "../util/text-table.ts";
import type { Vec3 } from "../volume/volume.ts";
import { parseCount } from "./options.ts";

/** "40,56,40" or "40x56x40" as D, H, W. */
export function parseVec3(text: string): Vec3 {
  const numbers = text.split(/[x,]/).map(Number);
  if (numbers.length !== 3 || numbers.some((n) => !Number.isFinite(n) || n <= 0)) {
    throw new InvalidArgumentError("Expected three positive numbers for D, H, W, such as 40,56,40.");
  }
  return numbers as Vec3;
}

/** "none", or axis letters such as "W" or "D,H,W", as axis numbers. */
export function parseMirror(text: string): number[] {
  if (text.toLowerCase() === "none") return [];
  const letters = text.toUpperCase();
  if (!/^[DHW](,?[DHW])*$/.test(letters))
    throw new InvalidArgumentError('Expected "none" or axes among D, H, W, such as D,H,W.');
  return [0, 1, 2].filter((axis) => letters.includes("DHW"[axis]));
}

/** "2GB", "1.5 GiB" or "800MB" as bytes; all are powers of 1024, as memory is sold. */
export function parseBytes(text: string): number {
  const [, number, unit] = /^([\d.]+)\s*([MG])i?B$/i.exec(text.trim()) ?? [];
  const bytes = Number(number) * (unit?.toUpperCase() === "G" ? 2 ** 30 : 2 ** 20);
  if (!(bytes > 0)) throw new InvalidArgumentError("Expected a size such as 2GB or 800MB.");
  return bytes;
}

/** A number above 0. */
function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && Number.isFinite(seconds)))
    throw new InvalidArgumentError("Expected seconds above 0, such as 0.2.");
  return seconds;
}

/** The plan as text for a terminal. */
function formatPlan(plan: Plan, fingerprint: Fingerprint): string {
  const by = (v: readonly number[]): string => v.map((n) => Number(n.toPrecision(4))).join(" x ");
  const perLevel = (list: readonly Vec3[]): string => list.map((v) => v.join("x")).join(", ");
  return [
    `${plan.dataset}: ${counted(fingerprint.cases.length, "training case")}, ${plan.dimensions}D (sizes are D x H x W)`,
    `  median scan   ${by(fingerprint.medianShape)} voxels of ${by(fingerprint.medianSpacing)} mm`,
    ...fingerprint.classes.map(
      ({ name, value, cases, medianMl }) =>
        `  ${`label ${value}`.padEnd(14)}${name}, in ${counted(cases, "case")}, median ${Number(medianMl.toPrecision(3))} ml`,
    ),
    `  spacing       ${by(plan.spacing)} mm`,
    `  patch         ${by(plan.patch)}`,
    `  batch         ${plan.batch}`,
    `  pools         ${perLevel(plan.pools) || "none"}`,
    `  kernels       ${perLevel(plan.kernels)}`,
    `  mirror        ${plan.mirrorAxes.map((axis) => "DHW"[axis]).join(", ") || "none"}`,
    "Why:",
    ...plan.reasons.map((reason) => `  ${reason}`),
  ].join("\n");
}

/** The nets that a plan proposes, as text for a terminal. */
function formatNets({ step, nets, recommended }: NetProposals, rate: StepRate, available: number): string {
  const rows = nets.map(({ net, parameters, bytes, stepSeconds, steps }) => [
    net,
    parameters.toLocaleString("en-US"),
    `${sizeText(bytes)}${bytes > available ? " (too much)" : ""}`,
    `${(1000 * stepSeconds).toFixed(0)} ms`,
    ...[steps[10], steps[30]].map((n) => n.toLocaleString("en-US")),
  ]);
  return [
    `Nets on this machine, trained with --preset strong on ${step.batch} x ${step.window.join("x")} a step (${sizeText(available)} are free):`,
    ...textTable([["net", "parameters", "memory of a run", "a step", "steps in 10 min", "30 min"], ...rows], 1)
      .split("\n")
      .map((line) => `  ${line}`),
    `  Times are estimated from ${rateText(rate)}.`,
    "  lean:12 costs what lean:16 costs: the engine pads channels to multiples of 8.",
    ...Object.entries(Object.groupBy(recommended, ({ net, why }) => `${net}: ${why}.`)).map(
      ([words, group]) => `  For ${group?.map(({ minutes }) => minutes).join(" or ")} minutes take ${words}`,
    ),
  ].join("\n");
}

interface PlanOptions {
  images?: string;
  labels?: string;
  patch?: Vec3;
  spacing?: Vec3;
  pools?: number;
  batch?: number;
  mirror?: number[];
  normalise?: string;
  memory?: number;
  secondsPerStep?: number;
  net: string;
  nets: boolean;
  threads?: number;
  skipBad?: boolean;
  out?: string;
  json?: boolean;
}

export const planCommand = new Command("plan")
  .description(
    "Measure a data set and derive spacing, patch, pools and normalisation, with reasons; then time a net and propose widths.",
  )
  .argument("[data]", "folder with dataset.json (nnU-Net raw or MSD layout)")
  .option("--images <dir>", "plain folder of images, instead of a data set")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--patch <D,H,W>", "patch in voxels", parseVec3)
  .option("--spacing <D,H,W>", "target spacing in mm", parseVec3)
  .option("--pools <n>", "number of pools", parseCount)
  .option("--batch <n>", "patches a step", parseCount)
  .option("--mirror <axes>", 'axes to mirror along in training, such as W or D,H,W, or "none"', parseMirror)
  .option(
    "--normalise <how>",
    "zscore, zscore-unclipped, ct or scale:255; one for each channel with commas between (default: by the channel's name)",
  )
  .option("--memory <size>", "memory that training --net may take, as in 2GB: sets patch and batch", parseBytes)
  .option("--seconds-per-step <n>", "time that a step of --net may take here: sets patch and batch", parseSeconds)
  .option("--net <net>", "net of the two budgets, and the one that is timed", defaultNet)
  .option("--no-nets", "do not time a net and propose widths")
  .option("--threads <n>", "compute threads that training will have (default: all)", parseCount)
  .option("--skip-bad", "leave out cases that cannot be read or do not fit the others")
  .option("--out <file>", "also write the plan as JSON, to edit and pass to train --plan")
  .option("--json", "print plan, fingerprint and proposed nets as JSON")
  .action(async (data: string | undefined, options: PlanOptions) => {
    const { images, labels, patch, spacing, pools, batch, mirror: mirrorAxes, normalise, out } = options;
    const { net, memory: bytes, secondsPerStep } = options;
    const { skipBad = false } = options;
    const whole = await readDataset(data, { images, labels, allowIncomplete: skipBad });
    const { dataset, fingerprint, skipped } = skipBad
      ? await fingerprintSound(whole)
      : { dataset: whole, fingerprint: await fingerprintDataset(whole), skipped: [] };
    const overrides = { patch, spacing, pools, batch, mirrorAxes, normalise };
    const usual = planDataset(fingerprint, dataset, overrides);
    const stated = bytes !== undefined || secondsPerStep !== undefined;
    if (!stated) checkStep(net, usual);
    const rate =
      options.nets || secondsPerStep !== undefined
        ? await measureStepRate(net, plannedNet(net, usual), usual, options.threads)
        : undefined;
    const budget = { bytes, secondsPerStep };
    const plan = stated ? planWithin(fingerprint, dataset, overrides, { net, budget, rate }) : usual;
    if (out) await writeFileAtomic(out, `${JSON.stringify(plan, null, 2)}\n`);
    const available = availableBytes();
    const nets = options.nets && rate ? proposeNets(plan, fingerprint, rate, available) : undefined;
    if (options.json) {
      const more = { ...(nets ? { nets: { ...nets, measured: rate } } : {}), ...(skipBad ? { skipped } : {}) };
      console.log(JSON.stringify({ plan, fingerprint, ...more }, null, 2));
      return;
    }
    for (const text of skippedText(skipped)) console.log(text);
    console.log(formatPlan(plan, fingerprint));
    if (nets && rate) console.log(formatNets(nets, rate, available));
  });
