import { describe, expect, it } from "vitest";
import type { Batch, TensorMap } from "../engine/types.ts";
import { measureStep } from "./calibrate.ts";

describe("calibration", () => {
  it("measures after a warm-up and puts the trainer back", async () => {
    let clock = 0;
    let parameters: TensorMap = new Map([["w", Float32Array.of(1)]]);
    let state: TensorMap = new Map([["step", Float32Array.of(0)]]);
    let calls = 0;
    const trainer = {
      getParameters: () => parameters,
      getState: () => state,
      setParameters: (values: TensorMap) => {
        parameters = values;
      },
      setState: (values: TensorMap) => {
        state = values;
      },
      step: () => {
        calls++;
        clock += calls <= 2 ? 5 : 0.5; // the first calls of an engine are slow
        parameters = new Map([["w", Float32Array.of(calls)]]);
        state = new Map([["step", Float32Array.of(calls)]]);
        return { loss: 1, dice: [], gradientNorm: 1 };
      },
    };
    const asked: number[] = [];
    const batches = {
      next: async (step: number) => {
        asked.push(step);
        return {} as Batch;
      },
    };
    // 600 s: 4 s of warm-up (1 call of 5 s), then 8 s: one more slow call and six of 0.5 s
    const seconds = await measureStep({ trainer, batches, seconds: 600, dropoutAt: () => undefined, now: () => clock });
    expect(seconds).toBeCloseTo(8 / 7, 12);
    expect(asked).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(parameters).toEqual(new Map([["w", Float32Array.of(1)]]));
    expect(state).toEqual(new Map([["step", Float32Array.of(0)]]));
  });
});
