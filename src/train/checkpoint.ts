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

/**
 * A checkpoint as safetensors: `param.NAME`, `state.NAME`, `best.NAME`, and the numbers as JSON under the key
 * `checkpoint`. It holds no times, so the same step of the same run gives the same bytes.
 */
export function checkpointToBytes(checkpoint: Checkpoint, params: readonly ParamInfo[]): Uint8Array<ArrayBuffer> {
  const shapes = new Map(params.map(({ name, shape }) => [name, shape]));
  const tensors: TensorFile["tensors"] = new Map();
  const add = (prefix: string, values: TensorMap): void => {
    for (const [name, data] of values) tensors.set(prefix + name, { shape: shapes.get(name) ?? [data.length], data });
  };
  add("param.", checkpoint.parameters);
  add("state.", checkpoint.state);
  const { best } = checkpoint;
  if (best) add("best.", best.weights);
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
  const part = (prefix: string): TensorMap =>
    new Map(
      [...file.tensors]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, { data }]) => [key.slice(prefix.length), data]),
    );
  return {
    step: numbers.step,
    parameters: part("param."),
    state: part("state."),
    best: numbers.best && { ...numbers.best, weights: part("best.") },
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
