import { describe, expect, test } from "vitest";
import type { Vec3 } from "../volume/volume.ts";
import { type Slice, type Stack, stackSlices } from "./geometry.ts";
import type { DicomImage, Frame } from "./image.ts";

const image = { rows: 3, columns: 4, tilt: 0 } as DicomImage;
const axial = [1, 0, 0, 0, 1, 0];

function slice(position: Vec3, change: Partial<Frame> = {}, of: Partial<DicomImage> = {}): Slice {
  const frame = { position, orientation: axial, spacing: [0.75, 0.5], slope: 1, intercept: 0, ...change } as Frame;
  return { image: { ...image, ...of }, index: 0, frame };
}
const stackAt = (heights: number[]): Stack | string => stackSlices(heights.map((z) => slice([-10, 20, z])));
const affineOf = (slices: Slice[]): number[] => [...(stackSlices(slices) as Stack).affine];

test("axial slices in any order: columns by hand, LPS turned to RAS", () => {
  const stack = stackAt([34, 30, 32]) as Stack;
  expect(stack.slices.map(({ frame }) => frame.position![2])).toEqual([30, 32, 34]);
  // i: a column is 0.5 mm along -x; j: a row is 0.75 mm along -y; k: 2 mm up; the first pixel at (10, -20, 30).
  expect([...stack.affine]).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 30, 0, 0, 0, 1]);
  expect(stack.notes).toEqual([]);
});

test("sagittal slices: rows run backwards, columns down, slices to the left", () => {
  const sagittal = { orientation: [0, 1, 0, 0, 0, -1] };
  // The normal is row x column = (0,1,0) x (0,0,-1) = (-1,0,0): the first slice is the leftmost one.
  const slices = [6, 3, 0].map((x) => slice([x, 5, 50], sagittal));
  expect(affineOf(slices.toReversed())).toEqual([0, 0, 3, -6, -0.5, 0, 0, -5, 0, -0.75, 0, 50, 0, 0, 0, 1]);
});

test("an oblique stack: every slice's first pixel is where its header says", () => {
  const [c, s] = [Math.cos(0.4), Math.sin(0.4)];
  const orientation = [c, s, 0, -s * 0.8, c * 0.8, 0.6];
  const normal = [s * 0.6, -c * 0.6, 0.8];
  const positions = [0, 1, 2, 3].map((k): Vec3 => [10 + 2.5 * k * normal[0], 2.5 * k * normal[1], 2.5 * k * normal[2]]);
  const { affine } = stackSlices(positions.map((position) => slice(position, { orientation }))) as Stack;
  for (const [k, [x, y, z]] of positions.entries()) {
    const at = [0, 4, 8].map((row) => affine[row + 2] * k + affine[row + 3]);
    for (const [i, value] of [-x, -y, z].entries()) expect(at[i]).toBeCloseTo(value, 12);
  }
});

test("steps that differ by the digits of a header are even", () => {
  expect(typeof stackAt([0, 1.667, 3.333, 5, 6.667])).toBe("object");
});

test("directions of three digits are those of one stack, and no change of the voxel size", () => {
  const slices = [0, 1, 2].map((z) => slice([0, 0, z], { orientation: [0.921, 0.389, 0, -0.389, 0.921, 0] }));
  const { affine, notes } = stackSlices(slices) as Stack;
  expect(notes).toEqual([]);
  expect(Math.hypot(affine[0], affine[4])).toBeCloseTo(0.5, 12);
  expect(Math.hypot(affine[1], affine[5])).toBeCloseTo(0.75, 12);
});

test("a single slice is as thick as it says, else 1 mm", () => {
  const thick = (thickness: number | null): number[] => affineOf([slice([-10, 20, 30], { thickness })]);
  expect(thick(5)).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 5, 30, 0, 0, 0, 1]);
  for (const none of [null, 0, -3]) expect(thick(none)[10]).toBe(1);
});

describe("what makes no regular grid is said", () => {
  test.each<[string, Slice[], string]>([
    ["twice", [0, 2, 2, 4].map((z) => slice([0, 0, z])), "has 1 place with more than one slice"],
    [
      "inverse",
      [0, 2, 4].map((z) => slice([0, 0, z], {}, { photometric: z === 2 ? "MONOCHROME1" : "MONOCHROME2" })),
      "mixes kinds of pixels (1 of 3 is not MONOCHROME2)",
    ],
    [
      "missing",
      [0, 2, 4, 8, 10, 16].map((z) => slice([0, 0, z])),
      "lacks 3 of its slices (steps of 2 mm, but 4 mm between 4 mm and 8 mm along the stack)",
    ],
    ["shifted", [0, 1, 2].map((k) => slice([0, 90 * k, k])), "shifted too far against each other to be one scan"],
    ["far", [0, 2, 4, 13].map((z) => slice([0, 0, z])), "has uneven distances between its slices (2 mm to 9 mm)"],
    [
      "turned",
      [slice([0, 0, 0]), slice([0, 0, 1]), slice([0, 0, 2], { orientation: [0, 1, 0, 0, 0, -1] })],
      "mixes orientations (1 of 3 slices is turned against the others)",
    ],
    [
      "sizes",
      [slice([0, 0, 0]), slice([0, 0, 1], {}, { rows: 5 })],
      "mixes pictures of different sizes (1 of 2 is not 4 x 3)",
    ],
    ["pixels", [slice([0, 0, 0]), slice([0, 0, 1], { spacing: [1, 1] })], "mixes pixel sizes (1 of 2 slices)"],
    ["nowhere", [slice([0, 0, 0]), slice([0, 0, 1], { position: null })], "does not say where its slices lie"],
    ["no spacing", [slice([0, 0, 0], { spacing: null })], "does not say how large its pixels are"],
    ["askew", [0, 1].map((z) => slice([0, 0, z], { orientation: [1, 0, 0, 0.6, 0.8, 0] })), "not at right angles"],
  ])("%s", (_, slices, words) => {
    expect(stackSlices(slices)).toContain(words);
  });
});

test("one slice lies in its own plane; without a place at the origin, and said", () => {
  expect(affineOf([slice([-10, 20, 30])])).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 1, 30, 0, 0, 0, 1]);
  const lost = stackSlices([
    { ...slice([0, 0, 0]), frame: { ...slice([0, 0, 0]).frame, position: null, orientation: null } },
  ]);
  expect((lost as Stack).notes).toEqual(["does not say where its picture lies; it is placed at the origin"]);
});

describe("what is resampled, and said", () => {
  test("uneven distances: even steps of the usual one", () => {
    const stack = stackAt([0, 2, 5, 7]) as Stack;
    expect(stack.shape).toEqual([4, 3, 4]); // 0, 2, 4 and 6 mm
    expect([...stack.affine]).toEqual([-0.5, 0, 0, 10, 0, -0.75, 0, -20, 0, 0, 2, 0, 0, 0, 0, 1]);
    expect(stack.notes).toEqual([
      "has uneven distances between its slices (2 mm to 3 mm)",
      "is resampled linearly to a straight grid with slices every 2 mm; results lie on that grid",
    ]);
  });
  test("a slice beside the others, though the first and the last are in line", () => {
    const moved = [0, 1.5, 0].map((y, k) => slice([0, y, 5 * k]));
    const stack = stackSlices(moved) as Stack;
    expect(stack.notes[0]).toBe("has slices that are shifted against each other in their plane (by up to 1.5 mm)");
    expect(stack.shape).toEqual([3, 5, 4]); // 1.5 mm are 2 rows
    expect([...stack.affine]).toEqual([-0.5, 0, 0, 0, 0, -0.75, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1]);
  });
  test("a tilted gantry: the grid is straight and holds every slice whole", () => {
    const tilted = [0, 1, 2].map((k) => slice([0, -1.5 * k, 5 * k], {}, { tilt: 16.7 }));
    const stack = stackSlices(tilted) as Stack;
    expect(stack.notes[0]).toContain(
      "was taken with a tilted gantry (each slice is shifted by 1.5 mm in its plane, 16.7 degrees",
    );
    // 1.5 mm are 2 pixels a slice, backwards: four more rows before the first slice's, that is 3 mm along y in RAS.
    expect(stack.shape).toEqual([3, 7, 4]);
    expect([...stack.affine]).toEqual([-0.5, 0, 0, 0, 0, -0.75, 0, 3, 0, 0, 5, 0, 0, 0, 0, 1]);
  });
});
