import { Command, InvalidArgumentError } from "commander";
import { type Fingerprint, fingerprintDataset } from "../dataset/fingerprint.ts";
import { planDataset } from "../dataset/plan.ts";
import { readDataset } from "../dataset/read.ts";
import type { Plan } from "../dataset/types.ts";
import { writeFileAtomic } from "../util/files.ts";
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

/** The plan as text for a terminal. */
export function formatPlan(plan: Plan, fingerprint: Fingerprint): string {
  const by = (v: readonly number[]): string => v.map((n) => Number(n.toPrecision(4))).join(" x ");
  const perLevel = (list: readonly Vec3[]): string => list.map((v) => v.join("x")).join(", ");
  return [
    `${plan.dataset}: ${fingerprint.cases.length} training cases, ${plan.dimensions}D (sizes are D x H x W)`,
    `  median scan   ${by(fingerprint.medianShape)} voxels of ${by(fingerprint.medianSpacing)} mm`,
    ...fingerprint.classes.map(
      ({ name, value, cases, medianMl }) =>
        `  ${`label ${value}`.padEnd(14)}${name}, in ${cases} cases, median ${Number(medianMl.toPrecision(3))} ml`,
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

interface PlanOptions {
  images?: string;
  labels?: string;
  patch?: Vec3;
  spacing?: Vec3;
  pools?: number;
  batch?: number;
  mirror?: number[];
  out?: string;
  json?: boolean;
}

export const planCommand = new Command("plan")
  .description("measure a data set and derive spacing, patch, pools and normalisation, with reasons")
  .argument("[data]", "folder with dataset.json (nnU-Net raw or MSD layout)")
  .option("--images <dir>", "plain folder of images, instead of a data set")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--patch <D,H,W>", "patch in voxels", parseVec3)
  .option("--spacing <D,H,W>", "target spacing in mm", parseVec3)
  .option("--pools <n>", "number of pools", parseCount)
  .option("--batch <n>", "patches a step", parseCount)
  .option("--mirror <axes>", 'axes to mirror along in training, such as W or D,H,W, or "none"', parseMirror)
  .option("--out <file>", "also write the plan as JSON, to edit and pass to train --plan")
  .option("--json", "print plan and fingerprint as JSON")
  .action(async (data: string | undefined, options: PlanOptions) => {
    const { images, labels, patch, spacing, pools, batch, mirror: mirrorAxes, out, json } = options;
    const dataset = await readDataset(data, { images, labels });
    const fingerprint = await fingerprintDataset(dataset);
    const plan = planDataset(fingerprint, dataset, { patch, spacing, pools, batch, mirrorAxes });
    if (out) await writeFileAtomic(out, `${JSON.stringify(plan, null, 2)}\n`);
    console.log(json ? JSON.stringify({ plan, fingerprint }, null, 2) : formatPlan(plan, fingerprint));
  });
