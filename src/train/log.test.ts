import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appendLine } from "../util/json-lines.ts";
import { readLog, rewindLog } from "./file-store.ts";
import { type EpochRecord, progressChart, waitingShare } from "./log.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-log-"));
});
afterAll(() => rm(folder, { recursive: true }));

const record = (epoch: number, validationDice: number[] | null = null): EpochRecord => ({
  epoch,
  step: epoch * 25,
  loss: 1 / epoch,
  gradientNorm: 1,
  trainDice: [0.9, 0.5],
  lr: 0.01,
  validationDice,
  validationCases: validationDice ? 3 : 0,
  seconds: 1,
  validationSeconds: 0,
  waitingShare: 0,
});

describe("log.jsonl", () => {
  it("adds the waiting of epochs up by their time", () => {
    // 0.1 of 3 s and 0.5 of 1 s: 0.8 of 4 s.
    const epochs = [
      { seconds: 3, waitingShare: 0.1 },
      { seconds: 1, waitingShare: 0.5 },
    ];
    expect(waitingShare(epochs)).toBeCloseTo(0.2, 12);
    expect(waitingShare([])).toBe(0);
  });

  it("goes back to a checkpoint's epoch, also past a line that a kill cut off", async () => {
    const path = join(folder, "log.jsonl");
    expect(await readLog(path)).toEqual([]);
    for (const epoch of [1, 2, 3]) await appendLine(path, record(epoch));
    await writeFile(path, `${await readFile(path, "utf8")}{"epoch":4,"st`);
    expect(await rewindLog(path, 3)).toEqual([record(1), record(2)]);
    expect(await readFile(path, "utf8")).toBe(`${JSON.stringify(record(1))}\n${JSON.stringify(record(2))}\n`);
  });

  it("draws one curve for each class that was checked", () => {
    const svg = progressChart([record(1), record(2, [0.8]), record(3, [0.9])], ["head", "tail"], "run");
    expect(svg).toContain("validation head");
    expect(svg).not.toContain("validation tail");
    // Loss above, Dice below it.
    expect(svg.match(/<svg [^>]*y="(\d+)"/g)?.map((tag) => /y="(\d+)"/.exec(tag)?.[1])).toEqual(["0", "320"]);
  });
});
