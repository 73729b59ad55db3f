import { expect, test } from "vitest";
import { chartsOfRun, chartsOfSeveral } from "../app/runs/curves.ts";
import { findEntries, parseLog, parseRecord, stateOf, studyRuns } from "../app/runs/records.ts";
import { readRoute, writeRoute } from "../app/runs/route.ts";
import { isOlderModel, predictionOf, scoresOfEvaluation, worstFirst } from "../app/runs/scores.ts";
import { borderSegments, pickPlane, planes } from "../app/shared/plane.ts";
import { upright } from "../app/shared/upright.ts";
import type { ListedFile } from "../src/serve/types.ts";
import type { StudyOnDisk } from "../src/study/resolve.ts";
import type { RunFile } from "../src/train/run-folder.ts";
import { identityAffine } from "../src/volume/affine.ts";
import { reorient } from "../src/volume/orientation.ts";
import type { Vec3 } from "../src/volume/volume.ts";

const files = (...paths: string[]): ListedFile[] => paths.map((path) => ({ path, size: 1, modified: 1 }));

test("runs are found with the cross-validation or study that they are a part of", () => {
  const { entries } = findEntries(
    files(
      "cv/fold10/run.json",
      "cv/fold2/run.json",
      "cv/cross-validation.json",
      "s/study.json",
      "s/runs/0001/prune.json",
      "a/run.json",
    ),
  );
  expect(entries.map(({ kind, path, parent }) => `${kind} ${path} ${parent}`)).toEqual([
    "train a null",
    "folds cv null",
    "train cv/fold2 cv",
    "train cv/fold10 cv",
    "study s null",
    "prune s/runs/0001 s",
  ]);
  expect(findEntries(files("run.json")).entries[0]).toEqual({ kind: "train", path: "", parent: null });
  expect(findEntries(files("fold0/run.json", "cross-validation.json")).entries[1].parent).toBe("");
});

test("damaged lines of a log are named and left out; a line that is being written is neither", () => {
  const { records, problems } = parseLog('{"step":1}\n{"ste\n[]\n{"step":2}\n{"st', "log.jsonl");
  expect(records).toEqual([{ step: 1 }, { step: 2 }]);
  expect(problems).toEqual(["Lines 2, 3 of log.jsonl are damaged and left out."]);
  expect(parseLog("", "log.jsonl")).toEqual({ records: [], problems: [] });
  expect(parseRecord("{", "a/run.json")).toEqual({ problem: expect.stringContaining("a/run.json is not JSON") });
  expect(parseRecord('{"version":2}', "run.json")).toEqual({ problem: expect.stringContaining("is not the record") });
});

test("a run that says it is running but wrote nothing for long has no news", () => {
  const run = { state: "running", netName: "lean:8", parameters: 10, steps: 100, result: null } as unknown as RunFile;
  const at = (minutes: number) => stateOf("train", run, { lastStep: 40, changed: 0, now: minutes * 60_000 });
  expect(at(1)).toMatchObject({ word: "running", step: 40, steps: 100, dice: null });
  expect(at(16).word).toBe("quiet");
});

test("runs of a study stand as their files say", () => {
  const study = { runs: 5, arms: [{}, {}], folds: [0, 1], seeds: [7] } as unknown as StudyOnDisk;
  const folder = files("1/result.json", "2/failure.json", "3/run.json", "4/config.json", "4/run.lock");
  const found = findEntries(folder.map((file) => ({ ...file, path: `runs/000${file.path}` })));
  expect(studyRuns(study, "", found.files).map(({ word, arm, fold }) => `${word} ${arm} ${fold}`)).toEqual([
    "done 0 0",
    "failed 1 0",
    "interrupted 0 1",
    "running 1 1",
    "missing 0 undefined",
  ]);
});

test("cases come from worst to best, of all classes or of one", () => {
  const one = (id: string, ...dice: number[]) => ({
    id,
    classes: dice.map((d) => ({ name: "x", dice: d, hd95: null })),
  });
  const text = JSON.stringify({ cases: [one("a", 0.9, 0.2), one("b", 0.3, 0.4), one("c", 1, 1)], failed: [] });
  const { rows } = scoresOfEvaluation(text, "e.json")!;
  expect(worstFirst(rows, "mean").map(({ id }) => id)).toEqual(["b", "a", "c"]);
  expect(worstFirst(rows, 1).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  for (const other of ["{", "[]", "null", '{"cases":[{"id":"a"}]}', '{"cases":[[1]]}']) {
    expect(scoresOfEvaluation(other, "e.json")).toBeNull();
  }
});

test("a case's prediction lies with its scores", () => {
  const paths = ["other/a.nii.gz", "run/predictions/a.nii.gz", "run/validation-cases/a.nii.gz"];
  expect(predictionOf({ file: "run/validation-cases/cases.json" }, "run", "a", paths)).toBe(paths[2]);
  expect(predictionOf({ file: "run/evaluation.json" }, "run", "a", paths.slice(0, 2))).toBe(paths[1]);
  expect(predictionOf(null, "run", "b", paths)).toBeNull();
});

test("predictions are old when the model was written anew, not when the folder was copied", () => {
  expect(isOlderModel(1000, 1000, 50_000)).toBe(false);
  expect(isOlderModel(1000, 90_000, 50_000)).toBe(true);
  expect(isOlderModel(1000, 1_000_000, 1_000_500)).toBe(false);
});

test("planes show right, front and top where readers expect them", () => {
  // [D, H, W] = [2, 2, 2], values 0 to 7: i + 2 j + 4 k.
  const data = Uint8Array.from({ length: 8 }, (_, i) => i);
  const [axial, coronal, sagittal] = planes.map((plane) => [...pickPlane(data, [2, 2, 2], plane, 1)]);
  expect(axial).toEqual([6, 7, 4, 5]); // anterior row first
  expect(coronal).toEqual([6, 7, 2, 3]); // superior row first, at the second row from the back
  expect(sagittal).toEqual([5, 7, 1, 3]);
});

test("a picture stands with its first row on top", () => {
  const picture = { data: Uint8Array.of(1, 2, 3, 4, 5, 6), shape: [1, 2, 3] as Vec3, affine: identityAffine() };
  const { data, shape } = reorient(upright(picture, true));
  expect([...pickPlane(data, shape, planes[0], 0)]).toEqual([...picture.data]);
  expect(upright(picture, false)).toBe(picture);
});

test("the border of a square is its four sides", () => {
  const map = Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0);
  expect(borderSegments(map, 4, 4, 1).sort()).toEqual([
    [1, 1, 1, 3],
    [1, 1, 3, 1],
    [1, 3, 3, 3],
    [3, 1, 3, 3],
  ]);
  expect(borderSegments(Uint8Array.of(1), 1, 1, 1)).toHaveLength(4); // also at the edge of the picture
});

test("what the page shows stands in its address", () => {
  const route = { path: "a b/\u00e9", kind: "train", tab: "cases", case: "x&y=1", compare: ["a,b", "#"] } as const;
  expect(readRoute(writeRoute({ ...route, compare: [...route.compare] }))).toEqual(route);
  expect(readRoute("#kind=evil&tab=none")).toEqual({ path: null, kind: null, tab: "curves", case: null, compare: [] });
});

test("curves show what the log holds", () => {
  const epoch = (step: number, dice: number[] | null) => ({
    step,
    loss: 1 / step,
    lr: 0.01,
    validationDice: dice,
    trainDice: [1, 0.5, 0.7],
  });
  const log = [epoch(1, null), epoch(2, [0.5, 0.7])] as never[];
  const run = { kind: "train" as const, name: "a", colour: 0, log, curve: [], classes: ["left", "right"] };
  const [loss, dice, rate] = chartsOfRun(run);
  expect(loss.series[0].points).toEqual([
    [1, 1],
    [2, 0.5],
  ]);
  expect(dice.series.map(({ name, points }) => [name, points.at(-1)![1]])).toEqual([
    ["left", 0.5],
    ["right", 0.7],
    ["training (soft, mean)", 0.6],
  ]);
  expect(dice.series[0].points).toHaveLength(1);
  expect(rate.series[0].points).toHaveLength(2);
  const [several] = chartsOfSeveral([run, { ...run, name: "b", colour: 1 }]);
  expect(several.series.map(({ name, points }) => [name, ...points[0]])).toEqual([
    ["a", 2, 0.6],
    ["b", 2, 0.6],
  ]);
});
