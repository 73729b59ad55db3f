import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DoneRecord, openRecord, readRecords } from "./record.ts";
import { readUncertainty, updateUncertainty } from "./uncertainty-file.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-record-"));
});
afterAll(() => rm(root, { recursive: true }));

test("the last sound line of a case counts, and a new one never joins one that was cut off", async () => {
  const path = join(root, "predictions.jsonl");
  expect(await readRecords(path)).toEqual(new Map());
  const done = {
    ...{ id: "a", time: "", state: "done", file: "a.nii", bytes: 1, removed: 0, settings: {} },
    ...{ scans: [{ path: "a.nii", files: 1, bytes: 1, modified: 1 }], milliseconds: { total: 1 } },
  };
  // Of another program, of a broken disk, and cut off.
  const foreign = [{ id: "a", text: "?" }, { ...done, scans: [{}] }, { ...done, settings: null }, 3, null];
  const lines = [{ id: "a", time: "", state: "begun" }, done, ...foreign].map((line) => JSON.stringify(line));
  await writeFile(path, `${lines.join("\n")}\n{"id":"a","sta`);
  const record = await openRecord(path);
  const failed = { id: "b", time: "", state: "failed", error: "damaged" } as const;
  await record.add(failed);
  await record.close();
  expect([...(await readRecords(path)).values()]).toEqual([done as unknown as DoneRecord, failed]);
  expect((await readFile(path, "utf8")).split("\n")).toHaveLength(lines.length + 3);
});

test("measures that many calls add at once are all kept", async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `case_${10 + i}`);
  const measure = { entropy: 0.1 } as never;
  await Promise.all(ids.map((id) => updateUncertainty(root, [], [Object.assign({ id }, measure)])));
  expect([...(await readUncertainty(root))!.keys()]).toEqual(ids);
  await updateUncertainty(root, ids, []);
  expect(await readUncertainty(root)).toBe(null);
});
