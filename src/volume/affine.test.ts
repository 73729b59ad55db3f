import { expect, test } from "vitest";
import { voxelVolume } from "./affine.ts";

test("a voxel's volume is that of its edges: scaled, turned, mirrored, sheared", () => {
  expect(voxelVolume([2, 0, 0, 5, 0, -3, 0, 6, 0, 0, 4, 7, 0, 0, 0, 1])).toBe(24);
  const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
  expect(voxelVolume([2 * c, -3 * s, 0, 0, 2 * s, 3 * c, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1])).toBeCloseTo(24, 12);
  // A gantry tilt moves slices along y and leaves the volume, while the third edge gets longer.
  expect(voxelVolume([1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 5, 0, 0, 0, 0, 1])).toBe(5);
});
