import { expect, test } from "vitest";
import { chooseSteps, diceOfTargets, type StepDice, stepDice } from "./steps.ts";

const labels = [0, 1, 2].map((value) => ({ value, name: ["background", "head", "tail"][value] }));
const row = (text: string): Uint8Array => Uint8Array.from(text, Number);

test("Dice of a case after each step, by hand", () => {
  // One row: the truth is 1122; the prediction has a stray 1 of its own and a stray 2 beside it.
  const truth = row("0112200000");
  const map = row("0112200101");
  const { plain, foreground, own, both } = stepDice(map, truth, [1, 1, 10], { labels });
  expect(plain).toEqual([(2 * 2) / (4 + 2), 1]);
  expect(foreground).toEqual([1, 1]);
  expect(own).toEqual([1, 1]);
  expect(both).toEqual([1, 1]);
  // A class that lies in two true parts loses one of them, the foreground as a whole does not.
  const split = stepDice(row("1211000000"), row("1211000000"), [1, 1, 10], { labels });
  expect(split).toMatchObject({ foreground: [1, 1], own: [(2 * 2) / (2 + 3), 1] });
});

test("regions and single classes try the whole foreground alone", () => {
  const regions = [
    { name: "all", values: [1, 2], paint: 1 },
    { name: "tail", values: [2], paint: 2 },
  ];
  const truth = row("01220000");
  const map = row("01220022");
  expect(diceOfTargets(map, truth, { labels, regions })).toEqual([(2 * 3) / (5 + 3), (2 * 2) / (4 + 2)]);
  const scores = stepDice(map, truth, [1, 1, 8], { labels, regions });
  expect(scores).toMatchObject({ foreground: [1, 1], own: scores.plain });
  const { tried, postprocessing } = chooseSteps([scores], { labels, regions }, ["all", "tail"]);
  expect(tried.map(({ name }) => name)).toEqual(["whole foreground"]);
  expect(postprocessing?.keepLargest).toEqual([[1, 2]]);
  const one = { labels: labels.slice(0, 2) };
  const single = chooseSteps([stepDice(row("0110"), row("0110"), [1, 1, 4], one)], one, ["head"]);
  expect(single.tried.map(({ name, taken }) => [name, taken])).toEqual([["head", false]]);
  expect(single.postprocessing).toBeNull();
});

const scores = (plain: number[], foreground: number[], own: number[], both: number[]): StepDice => ({
  ...{ plain, foreground, own, both },
});

test("a step is taken where the mean rises and no class falls", () => {
  const names = ["head", "tail"];
  // The foreground raises the mean but lowers the tail; of the classes alone only the head gains.
  const mixed = chooseSteps(
    [scores([0.5, 0.8], [0.9, 0.7], [0.6, 0.8], [0.9, 0.7]), scores([0.7, 0.8], [0.9, 0.8], [0.7, 0.6], [0.9, 0.8])],
    { labels },
    names,
  );
  expect(mixed.tried.map(({ name, taken, dropped }) => [name, taken, dropped])).toEqual([
    ["whole foreground", false, ["tail"]],
    ["head", true, []],
    ["tail", false, ["tail"]],
  ]);
  expect(mixed.tried[1]).toMatchObject({
    before: expect.closeTo(0.7),
    after: expect.closeTo(0.725),
    better: 1,
    worse: 0,
  });
  expect(mixed.postprocessing).toMatchObject({ keepLargest: [[1]], connectivity: 26, evidence: { cases: 2 } });
  expect(mixed.postprocessing!.evidence.classes).toEqual([
    { name: "head", before: expect.closeTo(0.6), after: expect.closeTo(0.65) },
    { name: "tail", before: expect.closeTo(0.8), after: expect.closeTo(0.8) },
  ]);
  // Two scans of one subject are one unit: its mean counts, and alone it gives no width.
  const pair = [
    scores([0.5, 0.5], [0.7, 0.7], [0.5, 0.5], [0.7, 0.7]),
    scores([0.5, 0.5], [0.6, 0.6], [0.5, 0.5], [0.6, 0.6]),
  ];
  const [same] = chooseSteps(pair, { labels }, names, ["a", "a"]).tried;
  expect(same.difference).toEqual({
    n: 1,
    mean: expect.closeTo(0.15),
    low: expect.closeTo(0.15),
    high: expect.closeTo(0.15),
  });
  // Once the foreground is taken, the classes are judged on top of it.
  const stacked = chooseSteps([scores([0.5, 0.5], [0.6, 0.6], [0.9, 0.9], [0.6, 0.7])], { labels }, names);
  expect(stacked.postprocessing?.keepLargest).toEqual([[1, 2], [2]]);
  expect(stacked.tried[1]).toMatchObject({ name: "head", taken: false, before: 0.6, after: 0.6 });
  const none = chooseSteps([scores([1, 1], [1, 1], [1, 1], [1, 1])], { labels }, names);
  expect(none.postprocessing).toBeNull();
});
