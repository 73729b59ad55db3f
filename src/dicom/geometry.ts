import { are, counted } from "../util/counted.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { DicomImage, Frame } from "./image.ts";
import { planRegrid, type Regrid } from "./regrid.ts";

/** A frame of an image of the series. */
export interface Slice {
  image: DicomImage;
  index: number;
  frame: Frame;
}

/** Slices in the order of space, and how they lie; or why they make no volume. */
export interface Stack {
  slices: Slice[];
  /** [D, H, W] of the volume. */
  shape: Vec3;
  /** Row-major 4x4, (i, j, k) = (column, row, slice) to RAS+ mm. */
  affine: Float64Array;
  /** What a user should know although the scan can be read. */
  notes: string[];
  /** How the slices become that volume where they do not lie on a regular grid themselves. */
  regrid?: Regrid;
}

/** Cosines of directions that count as the same: a turn of 0.08 degrees, which headers of few digits may leave. */
const SAME_DIRECTION = 1 - 1e-6;
/** Share of the slice distance by which positions may depart from even steps (and mm, for headers of few digits). */
const EVEN = 0.01;
const EVEN_MM = 0.02;
/** Share of a pixel by which slices may lie beside the line that they follow: less than resampling would blur. */
const BESIDE = 0.1;
/** Gaps up to this many usual steps are bridged by interpolation; beyond it there is too little to go by. */
const WIDEST = 2.5;
/** A straight grid may have this many times the voxels of the slices; a strong tilt of thin slices needs about 1.5. */
const MOST_GROWTH = 4;

const dot = (a: readonly number[], b: readonly number[]): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: readonly number[], b: readonly number[]): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const minus = (a: readonly number[], b: readonly number[]): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
/** Of length 1: headers of few digits give directions that are not quite. */
const unit = (a: readonly number[]): number[] => a.map((value) => value / Math.hypot(...a));
/** An Image Orientation as unit vectors along a row and a column, and the normal, their cross product. */
export function planeOf(orientation: readonly number[]): { row: number[]; column: number[]; normal: Vec3 } {
  const [row, column] = [unit(orientation.slice(0, 3)), unit(orientation.slice(3))];
  return { row, column, normal: cross(row, column) };
}
const mm = (value: number): string => `${Number(value.toFixed(3))} mm`;

/**
 * Orders slices along the normal of their plane (cross product of Image Orientation's row and column) and checks that they fill a
 * regular grid, by PS3.3 C.7.6.2. Uneven distances and a tilted gantry are noted and planned to be resampled. Returns a phrase that
 * completes "the series ..." where there is no volume: no position, mixed sizes or orientations, slices twice or missing.
 */
export function stackSlices(slices: readonly Slice[]): Stack | string {
  const [{ image, frame: first }] = slices;
  const { orientation, spacing } = first;
  if (!spacing || !(spacing[0] > 0 && spacing[1] > 0)) return "does not say how large its pixels are (Pixel Spacing)";
  if (slices.length === 1) return flatStack(slices[0]);
  if (!orientation || slices.some(({ frame }) => !frame.position || !frame.orientation)) {
    return "does not say where its slices lie (Image Position and Orientation)";
  }
  const alike = mixed(slices);
  if (alike) return alike;
  const { row, column, normal } = planeOf(orientation);
  if (Math.abs(Math.hypot(...normal) - 1) > 1e-3) return "has row and column directions that are not at right angles";
  const along = (slice: Slice): number => dot(slice.frame.position!, normal);
  const sorted = [...slices].sort((a, b) => along(a) - along(b));
  const even = stepOf(sorted, along);
  if (typeof even === "string") return even;
  const origin = sorted[0].frame.position!;
  const steps = sorted.length - 1;
  const step = minus(sorted[steps].frame.position!, origin).map((value) => value / steps);
  const notes = [even.note, shear(step, normal, image.tilt) ?? scatter(sorted, step, normal)].filter(
    (note) => note !== null,
  );
  const directions = { ...first, orientation: [...row, ...column] };
  if (notes.length === 0) {
    const shape: Vec3 = [sorted.length, image.rows, image.columns];
    return { slices: sorted, shape, affine: affineOf(directions, step, origin), notes };
  }
  const places = sorted.map((slice) => {
    const from = minus(slice.frame.position!, origin);
    return { along: dot(from, normal), i: dot(from, row) / spacing[1], j: dot(from, column) / spacing[0] };
  });
  const plan = planRegrid(places, even.step, image.columns, image.rows);
  if (plan.slices * plan.rows * plan.columns > MOST_GROWTH * slices.length * image.rows * image.columns) {
    return "has slices that are shifted too far against each other to be one scan";
  }
  const start = origin.map((value, r) => value + plan.i0 * spacing[1] * row[r] + plan.j0 * spacing[0] * column[r]);
  return {
    slices: sorted,
    shape: [plan.slices, plan.rows, plan.columns],
    affine: affineOf(
      directions,
      normal.map((value) => value * even.step),
      start,
    ),
    notes: [
      ...notes,
      `is resampled linearly to a straight grid with slices every ${mm(even.step)}; results lie on that grid`,
    ],
    regrid: plan,
  };
}

/** One slice: its own plane, as thick as the file says, else 1 mm; axes along x, y, z where the file names no place. */
function flatStack(slice: Slice): Stack {
  const { position, orientation, spacing, thickness } = slice.frame;
  const [row, column] = orientation
    ? [orientation.slice(0, 3), orientation.slice(3)]
    : [
        [1, 0, 0],
        [0, 1, 0],
      ];
  const frame = { ...slice.frame, orientation: [...row, ...column], spacing };
  const notes = orientation && position ? [] : ["does not say where its picture lies; it is placed at the origin"];
  const shape: Vec3 = [1, slice.image.rows, slice.image.columns];
  const step = cross(row, column).map((value) => value * (thickness && thickness > 0 ? thickness : 1));
  return { slices: [slice], shape, affine: affineOf(frame, step, position ?? [0, 0, 0]), notes };
}

/** LPS to RAS turns x and y round. */
export function affineOf(
  { orientation, spacing }: Frame,
  step: readonly number[],
  origin: readonly number[],
): Float64Array {
  const affine = new Float64Array(16);
  for (let r = 0; r < 3; r++) {
    const sign = r < 2 ? -1 : 1;
    const cells = [orientation![r] * spacing![1], orientation![r + 3] * spacing![0], step[r], origin[r]];
    affine.set(
      cells.map((value) => sign * value + 0), // + 0 turns -0 into 0
      4 * r,
    );
  }
  affine[15] = 1;
  return affine;
}

function mixed(slices: readonly Slice[]): string | null {
  const [{ image, frame }] = slices;
  const count = (differs: (slice: Slice) => boolean): number => slices.filter(differs).length;
  const sizes = count((slice) => slice.image.rows !== image.rows || slice.image.columns !== image.columns);
  if (sizes > 0) {
    return `mixes pictures of different sizes (${sizes} of ${slices.length} ${are(sizes)} not ${image.columns} x ${image.rows})`;
  }
  const inverse = count((slice) => slice.image.photometric !== image.photometric);
  if (inverse > 0)
    return `mixes kinds of pixels (${inverse} of ${slices.length} ${are(inverse)} not ${image.photometric})`;
  const turned = count(({ frame: { orientation: o } }) =>
    [0, 3].some((at) => dot(unit(o!.slice(at, at + 3)), unit(frame.orientation!.slice(at, at + 3))) < SAME_DIRECTION),
  );
  if (turned > 0)
    return `mixes orientations (${turned} of ${slices.length} slices ${are(turned)} turned against the others)`;
  const scaled = count(
    ({ frame: { spacing: s } }) => !s || s.some((value, i) => Math.abs(value / frame.spacing![i] - 1) > 1e-3),
  );
  return scaled > 0 ? `mixes pixel sizes (${scaled} of ${slices.length} slices)` : null;
}

/** The step between slices, with a note where distances differ; or a refusal: slices at one place, missing, or far apart. */
function stepOf(
  sorted: readonly Slice[],
  along: (slice: Slice) => number,
): { step: number; note: string | null } | string {
  const gaps = sorted.slice(1).map((slice, i) => along(slice) - along(sorted[i]));
  const usual = [...gaps].sort((a, b) => a - b)[(gaps.length - 1) >> 1]; // the lower of two middles: gaps only grow where slices are missing
  const twice = gaps.filter((gap) => gap < 1e-3).length;
  if (twice > 0) {
    return `has ${counted(twice, "place")} with more than one slice (several echoes, times or reconstructions in one series)`;
  }
  const tolerance = Math.max(EVEN * usual, EVEN_MM);
  const odd = gaps.filter((gap) => Math.abs(gap - usual) > tolerance);
  if (odd.length === 0) return { step: usual, note: null };
  const whole = odd.every((gap) => gap > usual && Math.abs(gap - Math.round(gap / usual) * usual) <= tolerance);
  if (whole) {
    const missing = odd.reduce((sum, gap) => sum + Math.round(gap / usual) - 1, 0);
    const at = gaps.indexOf(odd[0]);
    return (
      `lacks ${missing} of its slices (steps of ${mm(usual)}, but ${mm(odd[0])} between ` +
      `${mm(along(sorted[at]))} and ${mm(along(sorted[at + 1]))} along the stack)`
    );
  }
  const uneven = `has uneven distances between its slices (${mm(Math.min(...gaps))} to ${mm(Math.max(...gaps))})`;
  return Math.max(...gaps) > WIDEST * usual ? uneven : { step: usual, note: uneven };
}

/** Slices that are shifted against each other within their plane, as a tilted gantry does. */
function shear(step: readonly number[], normal: readonly number[], tilt: number): string | null {
  const along = dot(step, normal);
  const drift = Math.hypot(
    ...minus(
      step,
      normal.map((value) => value * along),
    ),
  );
  if (drift <= Math.max(EVEN * along, EVEN_MM)) return null;
  const angle = (Math.atan2(drift, along) * 180) / Math.PI;
  const gantry = tilt === 0 ? "" : `, gantry tilt ${tilt} in its header`;
  return `was taken with a tilted gantry (each slice is shifted by ${mm(drift)} in its plane, ${angle.toFixed(1)} degrees${gantry})`;
}

/** Slices that lie beside the line from the first to the last one. */
function scatter(sorted: readonly Slice[], step: readonly number[], normal: readonly number[]): string | null {
  const { position: origin, spacing } = sorted[0].frame;
  const along = dot(step, normal);
  const most = Math.max(
    ...sorted.map(({ frame }) => {
      const from = minus(frame.position!, origin!);
      const steps = dot(from, normal) / along;
      return Math.hypot(
        ...minus(
          from,
          step.map((value) => value * steps),
        ),
      );
    }),
  );
  if (most <= Math.max(BESIDE * Math.min(...spacing!), EVEN_MM)) return null;
  return `has slices that are shifted against each other in their plane (by up to ${mm(most)})`;
}
