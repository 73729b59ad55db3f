import { countNet } from "../net/count.ts";
import type { NetSpec } from "../net/spec.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { RunConfig, SizeResult } from "./types.ts";

/** What `config.json` and `result.json` of a run have in common. */
export function runIdentity({ run, arm, label, kind, fold, seed }: Omit<RunConfig, "version">): RunConfig {
  return { version: 1, run, arm, label, kind, fold, seed };
}

type Counts = Pick<
  SizeResult,
  "widths" | "parameters" | "parametersWithoutNorm" | "macs" | "inferenceBytes" | "trainingBytes"
>;

/** What can be counted of a net: its widths, parameters, and work and memory for one window. */
export function sizeCounts(net: NetSpec, window: Vec3): Counts {
  const count = countNet(net, { batch: 1, shape: window });
  const { layers, parameters, parametersWithoutNorm, macs, inferenceBytes, trainingBytes } = count;
  const units = layers.filter(({ kind, name }) => kind !== "maxpool" && name !== "head");
  const widths = Object.fromEntries(units.map(({ name, outputs }) => [name, outputs]));
  return { widths, parameters, parametersWithoutNorm, macs, inferenceBytes, trainingBytes };
}
