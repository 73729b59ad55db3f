import { fail } from "../util/errors.ts";
import { columnLengths, regridAffine } from "./affine.ts";
import { arrayLike, rawItems } from "./arrays.ts";
import type { Vec3, Volume, VoxelArray } from "./volume.ts";

/** How the voxel axes of a grid are taken from another: new axis t is old axis `axes[t]`, backwards where `flips[t]`; i, j, k order. */
export interface Reorientation {
  axes: Vec3;
  flips: [boolean, boolean, boolean];
}

const positive = "RAS";
const negative = "LPI";
const permutations: Vec3[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

/**
 * Anatomical direction in which each voxel axis i, j, k (W, H, D) grows, e.g. "RAS" or "PSR": the closest of the 48 axis-aligned
 * orientations, the one with the largest sum of |cosines|. Ties (a turn of exactly 45 degrees) go to the order nearest to RAS.
 */
export function axisCodes(affine: ArrayLike<number>): string {
  const lengths = columnLengths(affine);
  const cosine = (row: number, column: number): number => affine[row * 4 + column] / lengths[column];
  let best = permutations[0];
  let bestSum = 0;
  for (const rows of permutations) {
    const sum = rows.reduce((total, row, column) => total + Math.abs(cosine(row, column)), 0);
    if (sum > bestSum + 1e-6) [best, bestSum] = [rows, sum];
  }
  return best.map((row, column) => (cosine(row, column) < 0 ? negative : positive)[row]).join("");
}

/** World axis (0 x, 1 y, 2 z) and sign behind each letter. */
function parseCodes(codes: string): { world: number; sign: number }[] {
  const parsed = [...codes.toUpperCase()].map((letter) => {
    const world = Math.max(positive.indexOf(letter), negative.indexOf(letter));
    return { world, sign: positive[world] === letter ? 1 : -1 };
  });
  if (parsed.length !== 3 || [0, 1, 2].some((axis) => !parsed.some(({ world }) => world === axis))) {
    fail(`Orientation "${codes}" expected as three letters, one each of R/L, A/P and S/I, e.g. RAS.`);
  }
  return parsed;
}

/** The reorientation that takes a grid with axis codes `from` to one with codes `to`. */
export function reorientation(from: string, to: string): Reorientation {
  const source = parseCodes(from);
  const target = parseCodes(to);
  const axes = target.map(({ world }) => source.findIndex((axis) => axis.world === world)) as Vec3;
  const flips = target.map(({ sign }, t) => sign !== source[axes[t]].sign) as Reorientation["flips"];
  return { axes, flips };
}

/** Permutes and flips the voxels and changes the affine so that every voxel keeps its world position. */
export function applyReorientation<T extends VoxelArray>(volume: Volume<T>, { axes, flips }: Reorientation): Volume<T> {
  const { data, affine } = volume;
  if (axes.every((axis, t) => axis === t) && !flips.includes(true)) return { ...volume };
  const [d, h, w] = volume.shape;
  const sizes = [w, h, d];
  const strides = [1, w, w * h];
  const start: Vec3 = [0, 0, 0];
  const steps = axes.map((axis, t) => {
    if (flips[t]) start[axis] = sizes[axis] - 1;
    return flips[t] ? -strides[axis] : strides[axis];
  });
  const [nw, nh, nd] = axes.map((axis) => sizes[axis]);
  const out = arrayLike(data, data.length);
  const from = rawItems(data);
  const to = rawItems(out);
  const first = start[0] + start[1] * strides[1] + start[2] * strides[2];
  const [stepW, stepH, stepD] = steps;
  // Where a row gathers from far apart, short pieces of rows keep the source's cache lines in use.
  const piece = Math.abs(stepW) === 1 ? nw : 32;
  for (let i0 = 0; i0 < nw; i0 += piece) {
    const end = Math.min(nw, i0 + piece);
    for (let k = 0; k < nd; k++) {
      for (let j = 0; j < nh; j++) {
        const row = (k * nh + j) * nw;
        let source = first + k * stepD + j * stepH + i0 * stepW;
        for (let i = i0; i < end; i++) {
          to[row + i] = from[source];
          source += stepW;
        }
      }
    }
  }
  const signs = flips.map((flip) => (flip ? -1 : 1));
  return { data: out, shape: [nd, nh, nw], affine: regridAffine(affine, axes, signs, start) };
}

/**
 * The same scan with its voxel axes along `codes` (default canonical RAS), exactly: voxels are only moved. A volume that is
 * already so comes back sharing its data. Undo with {@link restoreOrientation}.
 */
export function reorient<T extends VoxelArray>(volume: Volume<T>, codes = "RAS"): Volume<T> {
  return applyReorientation(volume, reorientation(axisCodes(volume.affine), codes));
}

/**
 * Brings a volume on the grid of `reorient(original, codes)` back to the grid of `original`, whose affine it takes over to
 * the last bit. Throws a UserError when the shapes do not belong together.
 */
export function restoreOrientation<T extends VoxelArray>(
  volume: Volume<T>,
  original: { shape: Vec3; affine: Float64Array },
  codes = "RAS",
): Volume<T> {
  const back = applyReorientation(volume, reorientation(codes, axisCodes(original.affine)));
  if (back.shape.some((n, axis) => n !== original.shape[axis])) {
    fail(
      `Volume of shape [${volume.shape.join(", ")}] in ${codes} does not belong to the grid [${original.shape.join(", ")}] ` +
        `in ${axisCodes(original.affine)}; expected the same number of voxels along each anatomical axis.`,
    );
  }
  return { ...back, affine: original.affine.slice() };
}
