import type { ParamInfo } from "../engine/graph.ts";
import type { TensorMap } from "../engine/types.ts";
import { readSafetensors, type TensorFile, writeSafetensors } from "../model/safetensors.ts";
import { fail } from "../util/errors.ts";
import { readBytes, type WriteOptions, writeFileAtomic } from "../util/files.ts";
import type { EpochSums } from "./loop.ts";

/** The best weights so far. */
export interface Best {
  /** Mean validation Dice over foreground classes. */
  score: number;
  /** Dice per foreground class. */
  dice: number[];
  /** Steps done when they were taken. */
  step: number;
  weights: TensorMap;
}

/** All that a run needs to go on bit for bit. Random numbers are drawn from (seed, step), so they have no state of their own. */
export interface Checkpoint {
  /** Steps done. */
  step: number;
  parameters: TensorMap;
  /** Trainer.getState(): optimiser moments, moving average, step counter. */
  state: TensorMap;
  best: Best | null;
  /** Validation Dice of the last check, for the progress line. */
  lastDice: number[] | null;
  /** Sums of an epoch that was left in the middle. */
  sums: EpochSums;
}

const version = 1;

/** Groups of tensors for one file, as `GROUP.NAME`; the shapes are those of `params` where it has the name. */
export function joinTensors(groups: Record<string, TensorMap>, params: readonly ParamInfo[]): TensorFile["tensors"] {
  const shapes = new Map(params.map(({ name, shape }) => [name, shape]));
  const tensors: TensorFile["tensors"] = new Map();
  for (const [group, values] of Object.entries(groups)) {
    for (const [name, data] of values) {
      tensors.set(`${group}.${name}`, { shape: shapes.get(name) ?? [data.length], data });
    }
  }
  return tensors;
}

/** One group of {@link joinTensors}. */
export function tensorsUnder(group: string, file: Pick<TensorFile, "tensors">): TensorMap {
  const prefix = `${group}.`;
  return new Map(
    [...file.tensors]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { data }]) => [key.slice(prefix.length), data]),
  );
}

/**
 * A checkpoint as safetensors: `param.NAME`, `state.NAME`, `best.NAME`, and the numbers as JSON under the key
 * `checkpoint`. It holds no times, so the same step of the same run gives the same bytes.
 */
export function checkpointToBytes(checkpoint: Checkpoint, params: readonly ParamInfo[]): Uint8Array<ArrayBuffer> {
  const { best } = checkpoint;
  const tensors = joinTensors(
    { param: checkpoint.parameters, state: checkpoint.state, ...(best ? { best: best.weights } : {}) },
    params,
  );
  const numbers = {
    version,
    step: checkpoint.step,
    best: best && { score: best.score, dice: best.dice, step: best.step },
    lastDice: checkpoint.lastDice,
    sums: checkpoint.sums,
  };
  return writeSafetensors({ tensors, metadata: { checkpoint: JSON.stringify(numbers) } });
}

/** Reads what {@link checkpointToBytes} wrote; `name` is used in messages. */
export function checkpointFromBytes(bytes: Uint8Array, name: string): Checkpoint {
  const file = readSafetensors(bytes, name);
  const text =
    file.metadata.checkpoint ?? fail(`Expected a checkpoint of a run, but ${name} is another safetensors file.`);
  const numbers = JSON.parse(text);
  if (numbers.version !== version) {
    fail(
      `Expected a checkpoint of version ${version}, but ${name} has version ${numbers.version}; go on with the lunet ` +
        `that wrote it, or train again with --force.`,
    );
  }
  return {
    step: numbers.step,
    parameters: tensorsUnder("param", file),
    state: tensorsUnder("state", file),
    best: numbers.best && { ...numbers.best, weights: tensorsUnder("best", file) },
    lastDice: numbers.lastDice,
    sums: numbers.sums,
  };
}

/** Writes a checkpoint whole or not at all; when the disk is full the one before it survives. */
export async function writeCheckpoint(
  path: string,
  checkpoint: Checkpoint,
  params: readonly ParamInfo[],
  options?: WriteOptions,
): Promise<void> {
  await writeFileAtomic(path, checkpointToBytes(checkpoint, params), options);
}

export async function readCheckpoint(path: string): Promise<Checkpoint> {
  return checkpointFromBytes(await readBytes(path), path);
}
