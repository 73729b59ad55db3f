import type { Vec3 } from "../volume/volume.ts";
import type { Patch, PatchSource } from "./sample.ts";
import type { Matrix3 } from "./warp-matrix.ts";

/** What stays the same for all rows of a patch. */
interface Source {
  /** D, H, W. */
  shape: Vec3;
  votes: Float64Array;
  corner: Int32Array;
  weight: Float64Array;
}

/** One row of a patch in the source: voxel w of it lies at (z + dz w, y + dy w, x + dx w). */
interface Row {
  z: number;
  y: number;
  x: number;
  dz: number;
  dy: number;
  dx: number;
  /** Voxels whose eight neighbours all lie in the volume. */
  from: number;
  to: number;
  /** Voxels with a neighbour in the volume; those before and after are zero. */
  first: number;
  last: number;
}

/**
 * Reads a patch through a matrix, from the whole case (so rotated-in corners hold real voxels): intensities trilinear; labels
 * trilinear per class, then the heaviest class (ties: the lower index). Zeros outside the volume, as {@link cutPatch}.
 */
export function warpPatch(prepared: PatchSource, shape: Vec3, start: Vec3, m: Matrix3, into?: Patch): Patch {
  const { image, label } = prepared;
  const [D, H, W] = prepared.shape;
  const [pD, pH, pW] = shape;
  const volume = D * H * W;
  const voxels = pD * pH * pW;
  const channels = image.length / volume;
  const patch = into ?? { image: new Float32Array(channels * voxels), label: new Uint8Array(voxels), shape };
  const half = shape.map((n) => (n - 1) / 2);
  const source: Source = {
    shape: prepared.shape,
    votes: new Float64Array(256),
    corner: new Int32Array(8),
    weight: new Float64Array(8),
  };
  const row: Row = { z: 0, y: 0, x: 0, dz: m[2], dy: m[5], dx: m[8], from: 0, to: 0, first: 0, last: 0 };
  for (let d = 0, out = 0; d < pD; d++) {
    for (let h = 0; h < pH; h++, out += pW) {
      const od = d - half[0];
      const oh = h - half[1];
      row.z = start[0] + half[0] + m[0] * od + m[1] * oh - m[2] * half[2];
      row.y = start[1] + half[1] + m[3] * od + m[4] * oh - m[5] * half[2];
      row.x = start[2] + half[2] + m[6] * od + m[7] * oh - m[8] * half[2];
      // Where rows stay in their slice, as in 2D and with thick slices, there is nothing to interpolate across slices.
      const flat = row.dz === 0 && Number.isInteger(row.z) && row.z >= 0 && row.z < D;
      setSpans(row, source.shape, pW, flat);
      const { first, from, to, last } = row;
      for (let c = 0; c < channels; c++) {
        const at = c * voxels + out;
        patch.image.fill(0, at, at + first);
        patch.image.fill(0, at + last, at + pW);
        edgeImage(patch.image, at, first, from, image, c * volume, row, source);
        if (flat) flatImage(patch.image, at, image, c * volume + row.z * H * W, row, W);
        else innerImage(patch.image, at, image, c * volume, row, H, W);
        edgeImage(patch.image, at, to, last, image, c * volume, row, source);
      }
      if (!label) {
        patch.label.fill(0, out, out + pW);
        continue;
      }
      patch.label.fill(0, out, out + first);
      patch.label.fill(0, out + last, out + pW);
      edgeLabel(patch.label, out, first, from, label, row, source);
      if (flat) flatLabel(patch.label, out, label, row, source);
      else innerLabel(patch.label, out, label, row, source);
      edgeLabel(patch.label, out, to, last, label, row, source);
    }
  }
  return patch;
}

/** Sets which part of a row of n voxels lies inside, and which touches the volume. */
function setSpans(row: Row, [D, H, W]: Vec3, n: number, flat: boolean): void {
  row.first = 0;
  row.last = n;
  row.from = 0;
  row.to = n;
  for (let axis = flat ? 1 : 0; axis < 3; axis++) {
    const p = axis === 0 ? row.z : axis === 1 ? row.y : row.x;
    const step = axis === 0 ? row.dz : axis === 1 ? row.dy : row.dx;
    const size = axis === 0 ? D : axis === 1 ? H : W;
    // Rounding is monotonous, so the places between two that pass a test pass it too.
    while (row.first < row.last && !touches(p + step * row.first, size)) row.first++;
    while (row.last > row.first && !touches(p + step * (row.last - 1), size)) row.last--;
    while (row.from < row.to && !isInside(p + step * row.from, size)) row.from++;
    while (row.to > row.from && !isInside(p + step * (row.to - 1), size)) row.to--;
  }
  row.from = Math.min(row.last, Math.max(row.from, row.first));
  row.to = Math.min(row.last, Math.max(row.to, row.from));
}

const touches = (p: number, size: number): boolean => p > -1 && p < size;
const isInside = (p: number, size: number): boolean => p >= 0 && p < size - 1;

/** Trilinear, all neighbours inside. */
function innerImage(
  out: Float32Array,
  at: number,
  image: PatchSource["image"],
  base: number,
  row: Row,
  H: number,
  W: number,
): void {
  const { z: z0, y: y0, x: x0, dz, dy, dx, to } = row;
  const HW = H * W;
  for (let w = row.from; w < to; w++) {
    const z = z0 + dz * w;
    const y = y0 + dy * w;
    const x = x0 + dx * w;
    const zi = z | 0;
    const yi = y | 0;
    const xi = x | 0;
    const fz = z - zi;
    const fy = y - yi;
    const fx = x - xi;
    const i = base + (zi * H + yi) * W + xi;
    const j = i + HW;
    const a = image[i] + fx * (image[i + 1] - image[i]);
    const b = image[i + W] + fx * (image[i + W + 1] - image[i + W]);
    const c = image[j] + fx * (image[j + 1] - image[j]);
    const d = image[j + W] + fx * (image[j + W + 1] - image[j + W]);
    const near = a + fy * (b - a);
    const far = c + fy * (d - c);
    out[at + w] = near + fz * (far - near);
  }
}

/** Bilinear within the slice at `base`. */
function flatImage(
  out: Float32Array,
  at: number,
  image: PatchSource["image"],
  base: number,
  row: Row,
  W: number,
): void {
  const { y: y0, x: x0, dy, dx, to } = row;
  for (let w = row.from; w < to; w++) {
    const y = y0 + dy * w;
    const x = x0 + dx * w;
    const yi = y | 0;
    const xi = x | 0;
    const fx = x - xi;
    const i = base + yi * W + xi;
    const a = image[i] + fx * (image[i + 1] - image[i]);
    const b = image[i + W] + fx * (image[i + W + 1] - image[i + W]);
    out[at + w] = a + (y - yi) * (b - a);
  }
}

/** The voxels first..last of a row, neighbours outside counting as zero. */
function edgeImage(
  out: Float32Array,
  at: number,
  first: number,
  last: number,
  image: PatchSource["image"],
  base: number,
  row: Row,
  source: Source,
): void {
  const { corner, weight } = source;
  for (let w = first; w < last; w++) {
    const n = setCorners(row, w, source);
    let sum = 0;
    for (let k = 0; k < n; k++) sum += weight[k] * image[base + corner[k]];
    out[at + w] = sum;
  }
}

/** Where all eight neighbours have one label, it is that label; only at borders there is something to weigh. */
function innerLabel(out: Uint8Array, at: number, label: Uint8Array, row: Row, source: Source): void {
  const { z: z0, y: y0, x: x0, dz, dy, dx, to } = row;
  const [, H, W] = source.shape;
  const HW = H * W;
  for (let w = row.from; w < to; w++) {
    const z = z0 + dz * w;
    const y = y0 + dy * w;
    const x = x0 + dx * w;
    const i = ((z | 0) * H + (y | 0)) * W + (x | 0);
    const j = i + HW;
    const first = label[i];
    // XOR finds a difference without a branch for each neighbour.
    const difference =
      (first ^ label[i + 1]) |
      (first ^ label[i + W]) |
      (first ^ label[i + W + 1]) |
      (first ^ label[j]) |
      (first ^ label[j + 1]) |
      (first ^ label[j + W]) |
      (first ^ label[j + W + 1]);
    if (difference === 0) out[at + w] = first;
    else {
      setInnerCorners(source, i, z - (z | 0), y - (y | 0), x - (x | 0));
      out[at + w] = heaviest(label, 8, source);
    }
  }
}

function flatLabel(out: Uint8Array, at: number, label: Uint8Array, row: Row, source: Source): void {
  const { y: y0, x: x0, dy, dx, to } = row;
  const [, H, W] = source.shape;
  const base = row.z * H * W;
  for (let w = row.from; w < to; w++) {
    const i = base + ((y0 + dy * w) | 0) * W + ((x0 + dx * w) | 0);
    const first = label[i];
    const difference = (first ^ label[i + 1]) | (first ^ label[i + W]) | (first ^ label[i + W + 1]);
    if (difference === 0) out[at + w] = first;
    else out[at + w] = heaviest(label, setCorners(row, w, source), source);
  }
}

/** The voxels first..last of a row, each by vote. */
function edgeLabel(
  out: Uint8Array,
  at: number,
  first: number,
  last: number,
  label: Uint8Array,
  row: Row,
  source: Source,
): void {
  for (let w = first; w < last; w++) out[at + w] = heaviest(label, setCorners(row, w, source), source);
}

/** The class with the largest weight among the first n corners; weight missing to 1 lies outside and counts for background. */
function heaviest(label: Uint8Array, n: number, { votes, corner, weight }: Source): number {
  let missing = 1;
  for (let k = 0; k < n; k++) {
    votes[label[corner[k]]] += weight[k];
    missing -= weight[k];
  }
  let best = 0;
  let most = votes[0] + Math.max(0, missing);
  votes[0] = 0;
  for (let k = 0; k < n; k++) {
    const value = label[corner[k]];
    // Only the first corner of a class still finds its votes.
    if (votes[value] > most || (votes[value] === most && best > 0 && value < best)) {
      best = value;
      most = votes[value];
    }
    votes[value] = 0;
  }
  return best;
}

/** Lists all eight neighbours from the one at `i` on, at these parts of the way to the next along D, H and W. */
function setInnerCorners({ shape, corner, weight }: Source, i: number, fz: number, fy: number, fx: number): void {
  const W = shape[2];
  const HW = shape[1] * W;
  for (let k = 0; k < 8; k++) {
    corner[k] = i + (k >> 2) * HW + ((k >> 1) & 1) * W + (k & 1);
    weight[k] = (k & 4 ? fz : 1 - fz) * (k & 2 ? fy : 1 - fy) * (k & 1 ? fx : 1 - fx);
  }
}

/** Lists the neighbours of a row's voxel that lie inside and weigh something; returns their number. */
function setCorners(row: Row, w: number, { shape, corner, weight }: Source): number {
  const z = row.z + row.dz * w;
  const y = row.y + row.dy * w;
  const x = row.x + row.dx * w;
  const zi = Math.floor(z);
  const yi = Math.floor(y);
  const xi = Math.floor(x);
  let n = 0;
  for (let k = 0; k < 8; k++) {
    const cz = zi + (k >> 2);
    const cy = yi + ((k >> 1) & 1);
    const cx = xi + (k & 1);
    if (cz < 0 || cy < 0 || cx < 0 || cz >= shape[0] || cy >= shape[1] || cx >= shape[2]) continue;
    const share = (k & 4 ? z - zi : 1 - (z - zi)) * (k & 2 ? y - yi : 1 - (y - yi)) * (k & 1 ? x - xi : 1 - (x - xi));
    if (share === 0) continue;
    corner[n] = (cz * shape[1] + cy) * shape[2] + cx;
    weight[n++] = share;
  }
  return n;
}
