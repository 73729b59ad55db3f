import { fail } from "../util/errors.ts";
import { affineFault, columnLengths, identityAffine } from "./affine.ts";
import type { Vec3 } from "./volume.ts";

/** The geometry fields of a header as they stand in the file. */
export interface NiftiGeometry {
  qformCode: number;
  sformCode: number;
  /** pixdim[0], the handedness of the qform; -1 mirrors k, anything else does not. */
  qfac: number;
  /** pixdim[1..3]. */
  zooms: Vec3;
  /** quatern_b, c, d. */
  quaternion: Vec3;
  /** qoffset_x, y, z. */
  offset: Vec3;
  /** srow_x, srow_y, srow_z. */
  sform: number[];
  /** mm per unit of length of the file. */
  scale: number;
}

export interface NiftiAffine {
  affine: Float64Array;
  /** Which of the standard's three methods gave it. */
  from: "sform" | "qform" | "pixdim";
}

/** Share by which a voxel size may differ between pixdim and sform before the file is refused. */
const AGREE = 0.05;

/**
 * Voxel index to RAS+ mm by the NIfTI-1 standard: the sform where its code is above 0, else the qform, else pixdim alone
 * (method 1: axes along x, y, z from the origin). Throws a UserError when the result is not finite or singular, or when
 * sform and pixdim give voxel sizes more than 5 % apart: programs differ in which they believe.
 */
export function niftiAffine(g: NiftiGeometry, name: string): NiftiAffine {
  const from = g.sformCode > 0 ? "sform" : g.qformCode > 0 ? "qform" : "pixdim";
  const affine = identityAffine();
  if (from === "sform") {
    affine.set(g.sform);
  } else {
    const bad = g.zooms.findIndex((zoom) => !(zoom > 0 && Number.isFinite(zoom)));
    if (bad >= 0) fail(`${name}: voxel size pixdim[${bad + 1}] is ${g.zooms[bad]}; expected a positive number of mm.`);
    const quaternion: Vec3 = from === "qform" ? g.quaternion : [0, 0, 0];
    affine.set(quaternionAffine(quaternion, from === "qform" ? g.offset : [0, 0, 0], g.zooms, g.qfac));
  }
  const fault = affineFault(affine);
  if (fault) fail(`${name}: the ${from} affine ${fault}; expected an invertible matrix: repair the file's header.`);
  if (from === "sform") {
    const lengths = columnLengths(affine);
    // A pixdim of 0 is unset, not a claim.
    const apart = g.zooms.some((zoom, i) => zoom !== 0 && !(Math.abs(Math.abs(zoom) / lengths[i] - 1) <= AGREE));
    if (apart) {
      const show = (values: readonly number[]): string => values.map((v) => Number(v.toPrecision(5))).join(" x ");
      fail(
        `${name}: voxel sizes disagree, pixdim says ${show(g.zooms)} and sform says ${show(lengths)}; ` +
          "expected the same: set one of them right in the file's header.",
      );
    }
  }
  for (let i = 0; i < 12; i++) affine[i] *= g.scale;
  return { affine, from };
}

/**
 * Affine of a qform (nifti1.h, method 2): unit quaternion (a, b, c, d) with a >= 0 implied, columns times the zooms, the
 * third also times qfac (-1 or 1).
 */
export function quaternionAffine([b, c, d]: Vec3, offset: Vec3, zooms: Vec3, qfac: number): Float64Array {
  const rest = 1 - (b * b + c * c + d * d);
  let a = 0;
  if (rest < 1e-7) {
    // A half turn: single precision may leave b, c, d slightly too long.
    const length = Math.hypot(b, c, d);
    [b, c, d] = [b / length, c / length, d / length];
  } else {
    a = Math.sqrt(rest);
  }
  const [x, y] = zooms;
  const z = qfac === -1 ? -zooms[2] : zooms[2];
  const rows = [
    [(a * a + b * b - c * c - d * d) * x, 2 * (b * c - a * d) * y, 2 * (b * d + a * c) * z, offset[0]],
    [2 * (b * c + a * d) * x, (a * a + c * c - b * b - d * d) * y, 2 * (c * d - a * b) * z, offset[1]],
    [2 * (b * d - a * c) * x, 2 * (c * d + a * b) * y, (a * a + d * d - b * b - c * c) * z, offset[2]],
    [0, 0, 0, 1],
  ];
  return Float64Array.from(rows.flat(), (value) => value + 0);
}

/** The qform fields of an affine, or null when it is not a rotation times zooms (a qform cannot hold shears). */
export function quaternionOf(affine: ArrayLike<number>): { quaternion: Vec3; qfac: 1 | -1; zooms: Vec3 } | null {
  const zooms = columnLengths(affine);
  const r = (row: number, column: number): number => affine[row * 4 + column] / zooms[column];
  const dot = (p: number, q: number): number => r(0, p) * r(0, q) + r(1, p) * r(1, q) + r(2, p) * r(2, q);
  if (Math.max(Math.abs(dot(0, 1)), Math.abs(dot(0, 2)), Math.abs(dot(1, 2))) > 1e-5) return null;
  const crossZ = r(0, 2) * (r(1, 0) * r(2, 1) - r(2, 0) * r(1, 1));
  const crossX = r(1, 2) * (r(2, 0) * r(0, 1) - r(0, 0) * r(2, 1));
  const crossY = r(2, 2) * (r(0, 0) * r(1, 1) - r(1, 0) * r(0, 1));
  const qfac = crossZ + crossX + crossY < 0 ? -1 : 1;
  const m = (row: number, column: number): number => (column === 2 ? qfac : 1) * r(row, column);
  // Four times the square of a, b, c, d; dividing by the largest keeps the precision (Shepperd 1978).
  const squares = [
    1 + m(0, 0) + m(1, 1) + m(2, 2),
    1 + m(0, 0) - m(1, 1) - m(2, 2),
    1 - m(0, 0) + m(1, 1) - m(2, 2),
    1 - m(0, 0) - m(1, 1) + m(2, 2),
  ];
  const largest = squares.indexOf(Math.max(...squares));
  const s = 2 * Math.sqrt(squares[largest]);
  const ab = (m(2, 1) - m(1, 2)) / s;
  const ac = (m(0, 2) - m(2, 0)) / s;
  const ad = (m(1, 0) - m(0, 1)) / s;
  const bc = (m(0, 1) + m(1, 0)) / s;
  const bd = (m(0, 2) + m(2, 0)) / s;
  const cd = (m(1, 2) + m(2, 1)) / s;
  const q = s / 4;
  const [a, b, c, d] = [
    [q, ab, ac, ad],
    [ab, q, bc, bd],
    [ac, bc, q, cd],
    [ad, bd, cd, q],
  ][largest];
  const sign = a < 0 ? -1 : 1;
  return { quaternion: [sign * b + 0, sign * c + 0, sign * d + 0], qfac, zooms };
}
