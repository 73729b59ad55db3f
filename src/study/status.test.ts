import { expect, it } from "vitest";
import { secondsLeft, statusLine } from "./status.ts";

const need = (milliseconds: number) => ({ bytes: 0, milliseconds });

it("estimates what is left from what finished runs took", () => {
  const open = [
    { kind: "train" as const, need: need(1000) },
    { kind: "train" as const, need: need(3000) },
    { kind: "prune" as const, need: need(2000) },
  ];
  // Nothing done: the estimates themselves, 6 s of work on 2 processes.
  expect(secondsLeft(open, [], 2)).toBe(3);
  // Training took twice its estimate; of pruning nothing is known, so it is taken to do so too.
  const done = [{ kind: "train" as const, milliseconds: 1000, seconds: 2 }];
  expect(secondsLeft(open, done, 2)).toBe(6);
  // Pruning took three times: (4 x 2 + 2 x 3) / 2.
  expect(secondsLeft(open, [...done, { kind: "prune", milliseconds: 1000, seconds: 3 }], 2)).toBe(7);
  // One run is left for eight processes.
  expect(secondsLeft(open.slice(0, 1), [], 8)).toBe(1);
});

it("tells a run in one line", () => {
  const run = { run: "0007", arm: "lean-8", label: "lean:8", fold: 1, seed: 0, message: null };
  const done = { testDice: 0.8744, classDice: [0.8811, 0.8677], parameters: 39043, seconds: 130 };
  expect(statusLine({ ...run, ...done, state: "done" }, ["Anterior", "Posterior"])).toBe(
    "0007 lean:8, fold 1, seed 0: test Dice 87.4 (Anterior 88.1, Posterior 86.8), 39,043 parameters, 2 min 10 s",
  );
  const nothing = { testDice: null, classDice: null, parameters: null, seconds: null };
  expect(statusLine({ ...run, ...nothing, state: "waiting" }, [])).toBe("0007 lean:8, fold 1, seed 0: waiting");
  expect(statusLine({ ...run, ...nothing, state: "failed", message: "Why." }, [])).toBe(
    "0007 lean:8, fold 1, seed 0: failed: Why.",
  );
});
