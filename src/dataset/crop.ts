import { type Vec3, type Volume, type VoxelArray, voxelCount } from "../volume/volume.ts";

/** A box of voxels: first voxel and size along D, H, W. */
export interface Crop {
  start: Vec3;
  shape: Vec3;
}

/** A crop is used where it saves at least this share of the voxels. */
const worthwhile = 0.25;

/**
 * The bounding box of voxels that are not 0 in every channel, where it saves at least 25 % of the voxels; else the whole volume.
 * Skull-stripped and padded scans gain; a CT, whose air is not 0, stays whole. An all-zero volume stays whole.
 */
export function chooseCrop(images: readonly Volume[]): Crop {
  const { shape } = images[0];
  const [D, H, W] = shape;
  const low: Vec3 = [D, H, W];
  const high: Vec3 = [-1, -1, -1];
  for (const { data } of images) {
    for (let d = 0, i = 0; d < D; d++) {
      for (let h = 0; h < H; h++) {
        for (let w = 0; w < W; w++, i++) {
          if (data[i] === 0) continue;
          if (d < low[0]) low[0] = d;
          if (d > high[0]) high[0] = d;
          if (h < low[1]) low[1] = h;
          if (h > high[1]) high[1] = h;
          if (w < low[2]) low[2] = w;
          if (w > high[2]) high[2] = w;
        }
      }
    }
  }
  const size = high.map((n, axis) => n - low[axis] + 1) as Vec3;
  const whole: Crop = { start: [0, 0, 0], shape: [...shape] };
  if (high[0] < 0 || voxelCount(size) > (1 - worthwhile) * voxelCount(shape)) return whole;
  return { start: low, shape: size };
}

/** Copies a box out of an array [D, H, W]. The affine moves with the first voxel. */
export function cropVolume<T extends VoxelArray>(volume: Volume<T>, crop: Crop): Volume<T> {
  const [, H, W] = volume.shape;
  const [cD, cH, cW] = crop.shape;
  const [sd, sh, sw] = crop.start;
  const data = new (volume.data.constructor as new (n: number) => T)(voxelCount(crop.shape));
  for (let d = 0; d < cD; d++) {
    for (let h = 0; h < cH; h++) {
      const from = ((d + sd) * H + h + sh) * W + sw;
      data.set(volume.data.subarray(from, from + cW) as never, (d * cH + h) * cW);
    }
  }
  const affine = Float64Array.from(volume.affine);
  for (let r = 0; r < 12; r += 4) affine[r + 3] += affine[r] * sw + affine[r + 1] * sh + affine[r + 2] * sd;
  return { data, shape: [...crop.shape], affine };
}
