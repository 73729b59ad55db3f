import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ParamInfo } from "../engine/graph.ts";
import { readSafetensors, writeSafetensors } from "../model/safetensors.ts";
import {
  type Checkpoint,
  checkpointFromBytes,
  checkpointToBytes,
  readCheckpoint,
  writeCheckpoint,
} from "./checkpoint.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-checkpoint-"));
});
afterAll(() => rm(folder, { recursive: true }));

const params: ParamInfo[] = [{ name: "head.weight", shape: [1, 2, 1, 1, 1], role: "weight", trained: true }];
const make = (step: number): Checkpoint => ({
  step,
  parameters: new Map([["head.weight", Float32Array.of(0.1, -step)]]),
  state: new Map([
    ["step", Float32Array.of(step)],
    ["m.head.weight", Float32Array.of(1e-30, 3)],
  ]),
  best: { score: 1 / 3, dice: [1 / 3, 0], step: 25, weights: new Map([["head.weight", Float32Array.of(7, 8)]]) },
  lastDice: [0.1, 0],
  sums: { steps: 2, loss: 0.1 + 0.2, dice: [1 / 7], gradientNorm: 1e-9 },
});

describe("checkpoint", () => {
  it("comes back exactly, doubles included, and the same state gives the same bytes", () => {
    const bytes = checkpointToBytes(make(30), params);
    expect(checkpointFromBytes(bytes, "x")).toEqual(make(30));
    expect(checkpointToBytes(checkpointFromBytes(bytes, "x"), params)).toEqual(bytes);
    const before = { ...make(0), best: null, lastDice: null };
    expect(checkpointFromBytes(checkpointToBytes(before, params), "x")).toEqual(before);
  });

  it("leaves the old one when the disk is full in the middle of a write", async () => {
    const path = join(folder, "checkpoint.safetensors");
    await writeCheckpoint(path, make(25), params);
    const full = writeCheckpoint(path, make(50), params, {
      write: async (file, data) => {
        await file.write((data as Uint8Array).subarray(0, 100));
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      },
    });
    await expect(full).rejects.toThrow(
      `The disk is full: ${path} could not be written; free some space and run the command again.`,
    );
    expect(await readCheckpoint(path)).toEqual(make(25));
    expect(await readdir(folder)).toEqual(["checkpoint.safetensors"]);
  });

  it("refuses another file in words", () => {
    const bytes = checkpointToBytes(make(1), params);
    expect(() => checkpointFromBytes(bytes.subarray(0, bytes.length - 3), "c.safetensors")).toThrow(
      "c.safetensors is cut short",
    );
    const other = readSafetensors(bytes, "c");
    const numbers = JSON.parse(other.metadata.checkpoint);
    other.metadata.checkpoint = JSON.stringify({ ...numbers, version: 2 });
    expect(() => checkpointFromBytes(writeSafetensors(other), "c.safetensors")).toThrow(
      "Expected a checkpoint of version 1, but c.safetensors has version 2; go on with the lunet that wrote it",
    );
    delete other.metadata.checkpoint;
    expect(() => checkpointFromBytes(writeSafetensors(other), "c.safetensors")).toThrow(
      "Expected a checkpoint of a run, but c.safetensors is another safetensors file.",
    );
  });
});
