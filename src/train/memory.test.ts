import { describe, expect, it } from "vitest";
import { availableBytes, checkMemory, type MemoryNeed, type StepSize } from "./memory.ts";

const MiB = 2 ** 20;

/** 100 bytes a voxel, 40 with less memory, 1 for the batches that wait. */
const need = (step: Partial<StepSize>, canSave: boolean): MemoryNeed => {
  const voxels = ({ batch, window: [D, H, W] }: StepSize): number => batch * D * H * W;
  return {
    casesBytes: 100 * MiB,
    fixedBytes: 50 * MiB,
    step: { batch: 8, window: [64, 64, 64], lowMemory: false, ...step },
    canSave,
    programBytes: (size) => (size.lowMemory ? 40 : 100) * voxels(size),
    waitingBytes: voxels,
    divisor: [16, 16, 16],
  };
};
/** The sentence, or null where the run fits. 64^3 voxels are 0.25 MiB a byte. */
function refusal(step: Partial<StepSize>, available: number, engine = 4096, canSave = true): string | null {
  try {
    checkMemory(need(step, canSave), { available: available * MiB, engine: engine * MiB });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

describe("a run that does not fit is told what would", () => {
  it("the machine: 8 windows take 8 x 25.25 MiB, 82 MiB with less memory", () => {
    expect(refusal({}, 352)).toBeNull();
    expect(refusal({}, 351)).toBe(
      "The run needs about 352 MiB of memory (100 MiB for the cases, 202 MiB for steps on 8 windows of 64x64x64), but only " +
        "351 MiB are free; --low-memory, --batch 7 or --patch 48x64x64 would fit.",
    );
  });

  it("less memory alone is not enough: 2 windows of 25.25 MiB, or 5 of 10.25 MiB", () => {
    // 52 MiB are 67,482 voxels of 101 bytes in each of 8 windows (32x48x48 has 73,728), or 166,237 of 41 bytes (48x64x64 has 196,608).
    expect(refusal({}, 150 + 52)).toMatch("; --batch 2, --batch 5 --low-memory or --patch 32x32x48 would fit.");
    expect(refusal({ lowMemory: true }, 150 + 52)).toMatch("; --batch 5 or --patch 48x48x64 would fit.");
  });

  it("a patch of about the same shape", () => {
    // 47 MiB are 487,951 voxels of 101 bytes; 96x64x80 has 491,520, 96x64x64 has 393,216.
    expect(refusal({ batch: 1, window: [128, 96, 96] }, 150 + 47)).toMatch(
      "for steps on 1 window of 128x96x96), but only 197 MiB are free; --low-memory or --patch 96x64x64 would fit.",
    );
  });

  it("the engine: 100 bytes a voxel within 1024 MiB are 40 windows", () => {
    expect(refusal({ batch: 40 }, 10000, 1024)).toBeNull();
    expect(refusal({ batch: 200 }, 10000, 1024)).toMatch(
      "A training step on 200 windows of 64x64x64 needs 4.9 GiB in the engine, which can address 1.0 GiB; --batch 40, " +
        "--batch 102 --low-memory or --patch",
    );
  });

  it("a caller without --low-memory is not sent there", () => {
    expect(refusal({}, 351, 4096, false)).toMatch("; --batch 7 or --patch 48x64x64 would fit.");
    expect(refusal({}, 150 + 52, 4096, false)).toMatch("; --batch 2 or --patch 32x32x48 would fit.");
  });

  it("nothing fits", () => {
    expect(refusal({}, 120)).toMatch("the cases alone do not fit: train on fewer cases");
    expect(refusal({}, 150)).toMatch("no window is small enough: take a smaller net (--net).");
  });
});

it("finds some free memory on this machine", () => {
  expect(availableBytes()).toBeGreaterThan(10 * MiB);
});
