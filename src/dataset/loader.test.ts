import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import type { AugmentLevel } from "./augment.ts";
import { caseAt, isForeground, makeBatch } from "./loader.ts";
import { planOf, preparedOf } from "./testing.ts";

describe("makeBatch", () => {
  const cases = Array.from({ length: 5 }, (_, c) =>
    preparedOf([2, 2, 2], new Float32Array(8).fill(c + 1), new Uint8Array(8).fill(c % 2)),
  );
  const plan = planOf({ patch: [2, 2, 2] });

  test("every case comes once an epoch, each epoch in another order", () => {
    const epochs = Array.from({ length: 6 }, (_, e) => Array.from({ length: 5 }, (_, i) => caseAt(5, 7, e * 5 + i)));
    for (const epoch of epochs) expect([...epoch].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(epochs.map(String)).size).toBeGreaterThan(1);
  });

  test("a batch holds image and label of the same case in N, C, D, H, W order", () => {
    const { input, target } = makeBatch(cases, plan, { seed: 1, step: 3, batch: 3 });
    expect([input.length, target.length]).toEqual([24, 24]);
    for (let n = 0; n < 3; n++) {
      const c = caseAt(5, 1, 9 + n);
      expect([...input.subarray(n * 8, n * 8 + 8)]).toEqual(new Array(8).fill(c + 1));
      expect([...target.subarray(n * 8, n * 8 + 8)]).toEqual(new Array(8).fill(c % 2));
    }
  });

  test("the batch is a function of seed and step alone", () => {
    const big = Array.from({ length: 3 }, (_, c) => {
      const r = random(c);
      return preparedOf(
        [12, 13, 14],
        Float32Array.from({ length: 12 * 13 * 14 }, () => r.normal()),
        new Uint8Array(12 * 13 * 14),
      );
    });
    const at = (seed: number, step: number) => makeBatch(big, planOf(), { seed, step, augment: "full" });
    const first = at(4, 11);
    at(4, 12);
    expect(at(4, 11)).toEqual(first);
    expect(at(4, 12).input).not.toEqual(first.input);
    expect(at(5, 11).input).not.toEqual(first.input);
  });

  test("the share of patches on foreground is exact, evenly spread, and every third by default", () => {
    const positions = Array.from({ length: 3000 }, (_, position) => position);
    expect(positions.filter((at) => isForeground(at, 1 / 3))).toEqual(positions.filter((at) => at % 3 === 0));
    expect(positions.filter((at) => isForeground(at, 0.3)).slice(0, 4)).toEqual([0, 3, 6, 10]);
    for (const share of [0, 0.25, 0.5, 0.9, 1]) {
      expect(positions.filter((at) => isForeground(at, share))).toHaveLength(3000 * share);
    }
    const one = preparedOf([1, 1, 9], new Float32Array(9), [0, 0, 0, 0, 1, 0, 0, 0, 0]);
    const narrow = planOf({ patch: [1, 1, 1], batch: 8 });
    const { target } = makeBatch([one], narrow, { seed: 3, step: 0, foreground: 1 });
    expect([...target]).toEqual(new Array(8).fill(1));
  });

  test("with regions the target is the mask of each label's regions", () => {
    const regions = [
      { name: "all", values: [1, 9], paint: 1 },
      { name: "inner", values: [9], paint: 9 },
    ];
    const labels = [0, 1, 9].map((value) => ({ value, name: "" }));
    const one = preparedOf([1, 2, 2], [0, 1, 2, 3], [0, 1, 2, 1]);
    const flat = planOf({ patch: [1, 2, 2], labels, regions });
    expect([...makeBatch([one], flat, { seed: 0, step: 0, batch: 1 }).target]).toEqual([0, 0b01, 0b11, 0b01]);
  });

  test("shift moves windows where the level moves them, and is a function of seed and step too", () => {
    const marked = [preparedOf([1, 8, 8], new Float32Array(64).fill(1), new Uint8Array(64))];
    const flat = planOf({ patch: [1, 8, 8], batch: 8 });
    const empty = (augment: AugmentLevel, shift: number, seed = 1): string =>
      makeBatch(marked, flat, { seed, step: 0, augment, shift })
        .input.map((v) => (v === 0 ? 0 : 1))
        .join("");
    for (const level of ["none", "intensity"] as const) expect(empty(level, 0.25)).toBe("1".repeat(512));
    expect(empty("light", 0)).toBe("1".repeat(512));
    expect(empty("light", 0.25)).toContain("0");
    expect(empty("light", 0.25)).toBe(empty("light", 0.25));
    expect(empty("light", 0.25)).not.toBe(empty("light", 0.25, 2));
  });

  test("no cases is a clear error", () => {
    expect(() => makeBatch([], plan, { seed: 0, step: 0 })).toThrow(/at least one training case/);
  });
});
