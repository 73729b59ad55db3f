import { Command } from "commander";
import { readDataset } from "../dataset/read.ts";
import { type Finding, type Verification, verifyDataset } from "../dataset/verify.ts";
import { counted } from "../util/counted.ts";
import type { Vec3 } from "../volume/volume.ts";

/** At most this many findings are printed; --json has them all. */
const shown = 50;

const range = ({ min, max }: { min: Vec3; max: Vec3 }): string => {
  const form = (v: Vec3): string => v.map((n) => Number(n.toPrecision(4))).join(" x ");
  return form(min) === form(max) ? form(min) : `${form(min)} to ${form(max)}`;
};

/** Training resamples axes whose spacing differs by more than 1 %. */
const isMixed = ({ min, max }: { min: Vec3; max: Vec3 }): boolean => max.some((mm, axis) => mm > 1.01 * min[axis]);

function list(title: string, findings: readonly Finding[]): string[] {
  if (findings.length === 0) return [];
  const lines = findings.slice(0, shown).map((f) => `  ${f.case}: expected ${f.expected}, found ${f.found}`);
  if (findings.length > shown) lines.push(`  ... and ${findings.length - shown} more (--json lists all)`);
  return [`${title}:`, ...lines];
}

/** The report as text for a terminal. */
export function formatVerification(name: string, { problems, warnings, summary }: Verification): string {
  const orientations = Object.entries(summary.orientations).map(([codes, n]) => `${codes} (${n})`);
  const turned = orientations.length > 1 ? "; training turns every scan to RAS" : "";
  const resampled =
    summary.spacings && isMixed(summary.spacings) ? "; training brings every scan to one size (lunet plan)" : "";
  return [
    `${name}: ${counted(summary.training, "training case")}, ${counted(summary.test, "test case")}`,
    ...(summary.shapes ? [`  voxels (D x H x W)  ${range(summary.shapes)}`] : []),
    ...(summary.spacings ? [`  voxel size, mm      ${range(summary.spacings)}${resampled}`] : []),
    ...(orientations.length ? [`  orientation         ${orientations.join(", ")}${turned}`] : []),
    ...summary.labels.map(
      ({ name: label, value, cases }) => `  label ${value} (${label}) in ${counted(cases, "case")}`,
    ),
    ...list("Problems", problems),
    ...list("Warnings", warnings),
    `${counted(problems.length, "problem")}, ${counted(warnings.length, "warning")}.`,
  ].join("\n");
}

export const verifyCommand = new Command("verify")
  .description("Check every file of a data set: shapes, geometry, label values, missing and duplicate cases.")
  .argument("[data]", "folder with dataset.json (nnU-Net raw or MSD layout)")
  .option("--images <dir>", "plain folder of images, instead of a data set")
  .option("--labels <dir>", "plain folder of label maps with the same names")
  .option("--json", "print the full result as JSON")
  .action(async (data: string | undefined, options: { images?: string; labels?: string; json?: boolean }) => {
    const { images, labels } = options;
    const dataset = await readDataset(data, { images, labels, allowIncomplete: true });
    const result = await verifyDataset(dataset);
    console.log(options.json ? JSON.stringify(result, null, 2) : formatVerification(dataset.name, result));
    if (result.problems.length > 0) process.exitCode = 1;
  });
