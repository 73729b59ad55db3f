import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readStudyFile, studyText } from "./file.ts";
import { paperStudy, scales } from "./paper.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-study-file-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(text: string) {
  const path = join(folder, "study.yaml");
  await writeFile(path, text);
  return readStudyFile(path);
}

it("reads a study; its paths are taken from its own folder", async () => {
  const spec = await read(`
name: mine
data: scans
groups: patients.csv
steps: 100
settings: {lr: 0.01, weight-decay: 0}
arms:
  - net: lean:8
    skips: [all, [true, false]]
    bottleneck: 4
  - prune: unet:4
    pick: [stamp, random-at-largest]
    pruning: {until: {parameters: "10%"}}
`);
  expect(spec).toEqual({
    name: "mine",
    data: join(folder, "scans"),
    groups: join(folder, "patients.csv"),
    steps: 100,
    settings: { lr: 0.01, "weight-decay": 0 },
    arms: [
      { net: "lean:8", skips: ["all", [true, false]], bottleneck: 4 },
      { prune: "unet:4", pick: ["stamp", "random-at-largest"], pruning: { until: { parameters: "10%" } } },
    ],
  });
});

it.each(scales)("the ready study at scale %s survives its way through a file", async (scale) => {
  const spec = paperStudy(scale, { data: join(folder, "scans") });
  expect(await read(await studyText(spec))).toEqual(spec);
});

describe("says what is wrong and in which line", () => {
  const head = "name: mine\ndata: scans\n";
  it.each([
    ["sedes: [0]\narms: [{net: lean:8}]", 'line 3: unknown key "sedes"; did you mean "seeds"?'],
    [
      "arms:\n  - net: lean:8\n  - net: lean\n    equal_to: lean:8",
      'line 6: unknown key "equal_to"; did you mean "equal-to"?',
    ],
    ["settings:\n  lr: 0.1\n  bach: 2\narms: [{net: lean:8}]", 'line 5: unknown key "bach"; did you mean "batch"?'],
    ["arms:\n  - prune: unet:4\n    pruning: {remov: 4}", 'line 5: unknown key "remov"; did you mean "remove"?'],
    [
      "steps: many\narms: [{net: lean:8}]",
      'line 3: expected key "steps" to be a whole number from 1 up, but got "many".',
    ],
    [
      "arms:\n  - net: lean:8\n    convs: 4",
      'line 5: expected key "arms.0.convs" to be a whole number from 1 to 3, but got 4.',
    ],
    [
      "arms:\n  - prune: unet:4\n    pick: [stamp, best]",
      "stamp, random-at-stamp-layer, random-at-largest, or a list of them",
    ],
    ["arms: []", 'line 3: expected key "arms" to be a list of one arm or more, but got 0.'],
    ["arms:\n  - net: [lean:8", "expected YAML, but "],
  ])("%s", async (text, words) => {
    await expect(read(head + text)).rejects.toThrow(words);
  });
  it("a missing key", async () => {
    await expect(read(head)).rejects.toThrow('study.yaml: expected the key "arms", but it is missing.');
    await expect(read("- net: lean:8")).rejects.toThrow(
      "study.yaml: expected an object with the keys name, data and arms",
    );
  });
});
