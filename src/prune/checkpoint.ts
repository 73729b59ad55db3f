import type { ParamInfo } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { readSafetensors, writeSafetensors } from "../model/safetensors.ts";
import type { NetSpec } from "../net/spec.ts";
import { joinTensors, tensorsUnder } from "../train/checkpoint.ts";
import type { DropoutRates } from "../train/dropout.ts";
import type { EpochSums } from "../train/loop.ts";
import { fail } from "../util/errors.ts";
import { readBytes, writeFileAtomic } from "../util/files.ts";
import type { ChannelRef } from "./types.ts";

/** All that a prune run needs to go on bit for bit. A phase is the warm-up, or the recovery after one removal. */
export interface PruneState {
  removals: number;
  /** Training steps done, over all phases; batches and dropout are drawn by this number. */
  step: number;
  /** The step at which the phase began. */
  phaseStart: number;
  /** Stopped early. */
  phaseOver: boolean;
  /** Steps of a recovery from here on; where it is left out, those of the settings. */
  recoverySteps?: number;
  /** Best mean validation Dice of the phase, and epochs without a better one. */
  patience: { best: number | null; since: number };
  net: NetSpec;
  /** By the last removal. */
  removed: ChannelRef[];
  dropout: DropoutRates;
  /** Mean of the phase's last whole epoch. */
  loss: number | null;
  /** Of an epoch that was left in the middle. */
  sums: EpochSums;
  parameters: TensorMap;
  /** Trainer.getState(); empty before the first step. */
  optimiser: TensorMap;
}

const version = 1;

/** Writes a checkpoint whole or not at all. `params` are those of the state's net. */
export async function writePruneCheckpoint(
  path: string,
  state: PruneState,
  params: readonly ParamInfo[],
): Promise<void> {
  const { parameters, optimiser, dropout, ...numbers } = state;
  const rates = typeof dropout === "number" ? dropout : [...dropout];
  const text = JSON.stringify({ version, ...numbers, dropout: rates });
  const tensors = joinTensors({ param: parameters, state: optimiser }, params);
  await writeFileAtomic(path, writeSafetensors({ tensors, metadata: { "prune-checkpoint": text } }));
}

export async function readPruneCheckpoint(path: string): Promise<PruneState> {
  const file = readSafetensors(await readBytes(path), path);
  const text =
    file.metadata["prune-checkpoint"] ??
    fail(`Expected a checkpoint of a prune run, but ${path} is another safetensors file.`);
  const { version: found, dropout, ...numbers } = JSON.parse(text);
  if (found !== version) {
    fail(
      `Expected a checkpoint of version ${version}, but ${path} has version ${found}; go on with the lunet that wrote it, ` +
        `or prune again with --force.`,
    );
  }
  return {
    ...numbers,
    dropout: typeof dropout === "number" ? dropout : new Map(dropout),
    parameters: tensorsUnder("param", file),
    optimiser: tensorsUnder("state", file),
  };
}
