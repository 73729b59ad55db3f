import { describe, expect, it } from "vitest";
import { availableBytes, checkMemory } from "./memory.ts";

const MiB = 2 ** 20;

describe("memory", () => {
  it("says what would fit when a run does not", () => {
    const need = { casesBytes: 100 * MiB, windowBytes: 200 * MiB, batch: 8, fixedBytes: 50 * MiB };
    expect(() => checkMemory(need, 1750 * MiB)).not.toThrow();
    expect(() => checkMemory(need, 1749 * MiB)).toThrow(
      "needs about 1.7 GiB of memory (100 MiB for the cases, 1.6 GiB for a batch of 8), but only 1.7 GiB are free; --batch 7 would fit",
    );
    expect(() => checkMemory(need, 200 * MiB)).toThrow("one window takes 200 MiB");
    expect(() => checkMemory(need, 120 * MiB)).toThrow("the cases alone do not fit");
  });

  it("finds some free memory on this machine", () => {
    expect(availableBytes()).toBeGreaterThan(10 * MiB);
  });
});
