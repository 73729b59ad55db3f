import type { Segmentation } from "../dicom/seg/read.ts";
import { counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { worldOf } from "../volume/affine.ts";
import { gridTolerance } from "../volume/grid.ts";
import { type Vec3, type Volume, voxelCount } from "../volume/volume.ts";
import { masksOfValues, type Targets } from "./regions.ts";

const same = (a: string, b: string): boolean => a.trim().toLowerCase() === b.trim().toLowerCase();
const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

/**
 * The label map of a DICOM segmentation, on its own grid. Segments named like labels get those labels' values, segments named like
 * regions are combined to the labels that lie in just these regions; where no name fits, a segment's number is the value. Throws a UserError where
 * segments overlap (other than regions may), where only some of the names fit, and for voxels of segments that are not described.
 */
export async function labelMapOf(segmentation: Segmentation, targets?: Targets): Promise<Volume> {
  const { name, shape, affine, frames, type } = segmentation;
  const present = new Set(frames.map(({ segment }) => segment));
  const segments = segmentation.segments.filter(
    ({ number }) => number !== 0 && (type === "LABELMAP" || present.has(number)),
  );
  const { values, regions } = meaningOf(segments, targets, name);
  const size = shape[1] * shape[2];
  const data = new Uint16Array(voxelCount(shape));
  const numberToValue = (number: number): number =>
    values.get(number) ??
    fail(`${name}: voxels of segment ${number}, which it does not describe; the file is damaged.`);
  let overlaps = 0;
  for (const [index, { k, segment }] of frames.entries()) {
    const voxels = await segmentation.voxels(index);
    let [last, value] = [type === "LABELMAP" ? 0 : 1, type === "LABELMAP" ? 0 : numberToValue(segment)];
    for (let i = 0, at = k * size; i < size; i++, at++) {
      if (voxels[i] === 0) continue;
      if (voxels[i] !== last) [last, value] = [voxels[i], numberToValue(voxels[i])];
      if (regions) data[at] |= value;
      else if (data[at] === 0 || data[at] === value) data[at] = value;
      else overlaps++;
    }
  }
  if (overlaps > 0) {
    fail(
      `${name}: segments overlap in ${counted(overlaps, "voxel")} (${quoted(segments.map((one) => one.name))}), and a label map has one label a voxel; ` +
        "name the segments like regions of dataset.json, or split the file.",
    );
  }
  if (regions) paintRegions(data, targets!, name);
  return {
    data: data.every((value) => value < 256) ? new Uint8Array(data) : data,
    shape: [...shape],
    affine: affine.slice(),
  };
}

/** What each segment number stands for: a label value, or with `regions` the bit of a region. */
function meaningOf(
  segments: Segmentation["segments"],
  targets: Targets | undefined,
  name: string,
): { values: Map<number, number>; regions: boolean } {
  const regionOf = (segment: string): number =>
    targets?.regions?.findIndex((region) => same(region.name, segment)) ?? -1;
  const labelOf = (segment: string) => targets?.labels.find((label) => label.value !== 0 && same(label.name, segment));
  if (segments.length > 0 && segments.every((segment) => regionOf(segment.name) >= 0)) {
    return { regions: true, values: new Map(segments.map((one) => [one.number, 1 << regionOf(one.name)])) };
  }
  const fitting = segments.filter((segment) => labelOf(segment.name));
  if (fitting.length === 0) return { regions: false, values: new Map(segments.map(({ number }) => [number, number])) };
  const others = segments.filter((segment) => !fitting.includes(segment)).map((segment) => segment.name);
  if (others.length > 0) {
    const known = targets!.labels.filter(({ value }) => value !== 0).map((label) => label.name);
    fail(`${name}: segments ${quoted(others)} are none of the labels ${quoted(known)}; rename them or take them out.`);
  }
  return { regions: false, values: new Map(segments.map((one) => [one.number, labelOf(one.name)!.value])) };
}

/** Masks of regions to the label that lies in just these regions. */
function paintRegions(data: Uint16Array, { labels, regions }: Targets, name: string): void {
  const masks = masksOfValues(regions!);
  const labelOfMask = new Map(labels.map(({ value }) => [masks[value], value]));
  labelOfMask.set(0, 0);
  for (let at = 0; at < data.length; at++) {
    if (data[at] === 0) continue;
    const value = labelOfMask.get(data[at]);
    if (value === undefined) {
      const inside = regions!.filter((_, r) => (data[at] >> r) & 1).map((region) => region.name);
      fail(
        `${name}: a voxel lies in ${quoted(inside)} and no other region, and no label of the data set does; mend the segments.`,
      );
    }
    data[at] = value!;
  }
}

type Placed = Pick<Volume, "shape" | "affine">;

/**
 * Puts a label map onto the grid of `like` where both have the same lattice of voxels, in whatever order of axes and extent: values
 * move, none is interpolated; 0 beyond the map. Returns the map itself where the grids are the same in order and extent, or
 * lattices differ, which is for the caller to refuse. UserError where a labelled voxel would fall outside of `like`.
 */
export function placeLabels(map: Volume, like: Placed, name: string): Volume {
  const move = moveOf(map, like);
  if (!move) return map;
  const [D, H, W] = like.shape;
  const data = new Uint16Array(D * H * W);
  const [depth, height, width] = map.shape;
  let outside = 0;
  for (let k = 0, at = 0; k < depth; k++) {
    for (let j = 0; j < height; j++) {
      for (let i = 0; i < width; i++, at++) {
        if (map.data[at] === 0) continue;
        const [x, y, z] = [0, 1, 2].map((r) => move[r][0] * i + move[r][1] * j + move[r][2] * k + move[r][3]);
        if (x < 0 || y < 0 || z < 0 || x >= W || y >= H || z >= D) outside++;
        else data[(z * H + y) * W + x] = map.data[at];
      }
    }
  }
  if (outside > 0)
    fail(`${name}: ${outside} labelled voxels lie outside the scan; is it the segmentation of another one?`);
  const small = data.every((value) => value < 256);
  return { data: small ? new Uint8Array(data) : data, shape: [D, H, W], affine: Float64Array.from(like.affine) };
}

/** The smallest grid, in the order of `a`, that holds both; null where their lattices of voxels differ. */
export function commonGrid(a: Placed, b: Placed): Placed | null {
  const move = moveOf(b, a);
  if (!move) return null;
  const [size, other] = [a.shape.toReversed(), b.shape.toReversed()];
  // Where the first and the last voxel of b lie in a, i, j, k.
  const ends = move.map((row) => [
    row[3],
    row[0] * (other[0] - 1) + row[1] * (other[1] - 1) + row[2] * (other[2] - 1) + row[3],
  ]);
  const first = ends.map((end) => Math.min(0, ...end));
  const last = ends.map((end, r) => Math.max(size[r] - 1, ...end));
  const affine = Float64Array.from(a.affine);
  for (const [r, value] of worldOf(a.affine, first[0], first[1], first[2]).entries()) affine[4 * r + 3] = value;
  return { shape: last.map((end, r) => end - first[r] + 1).reverse() as Vec3, affine };
}

/** Rows of whole numbers that take voxel indices i, j, k, 1 of one grid to those of another; null where there are none. */
function moveOf(from: Placed, to: Placed): number[][] | null {
  const inverse = inverseOf(to.affine);
  const origin = worldOf(to.affine, 0, 0, 0);
  const index = (at: Vec3): number[] => {
    const offset = worldOf(from.affine, ...at).map((value, r) => value - origin[r]);
    return inverse.map((row) => row.reduce((sum, value, c) => sum + value * offset[c], 0));
  };
  const start = index([0, 0, 0]);
  const ends: Vec3[] = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ];
  const columns = ends.map((end) => index(end).map((value, r) => Math.round(value - start[r])));
  const rows = [0, 1, 2].map((r) => [...columns.map((column) => column[r]), Math.round(start[r])]);
  const axes = columns.every((column) => column.reduce((sum, value) => sum + Math.abs(value), 0) === 1);
  const turns = rows.every((row) => row.slice(0, 3).reduce((sum, value) => sum + Math.abs(value), 0) === 1);
  if (!axes || !turns) return null;
  const [D, H, W] = from.shape;
  for (let corner = 0; corner < 8; corner++) {
    const at: Vec3 = [corner & 1 ? W - 1 : 0, corner & 2 ? H - 1 : 0, corner & 4 ? D - 1 : 0];
    const found = index(at);
    const off = rows.some(
      (row, r) => Math.abs(row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3] - found[r]) > gridTolerance,
    );
    if (off) return null;
  }
  return rows;
}

/** Rows of the inverse of an affine's 3x3 part, by cofactors. */
function inverseOf(a: ArrayLike<number>): number[][] {
  const m = (r: number, c: number): number => a[4 * (r % 3) + (c % 3)];
  const cofactor = (r: number, c: number): number =>
    m(r + 1, c + 1) * m(r + 2, c + 2) - m(r + 1, c + 2) * m(r + 2, c + 1);
  const determinant = m(0, 0) * cofactor(0, 0) + m(0, 1) * cofactor(0, 1) + m(0, 2) * cofactor(0, 2);
  return [0, 1, 2].map((r) => [0, 1, 2].map((c) => cofactor(c, r) / determinant));
}
