import { voxelVolume } from "../volume/affine.ts";
import { findComponents } from "../volume/components.ts";
import { axisCodes } from "../volume/orientation.ts";
import { spacingOf, type Vec3, type Volume } from "../volume/volume.ts";
import { meanAndSd, percentiles } from "./statistics.ts";
import type { LabelInfo } from "./types.ts";

export interface Intensities {
  mean: number;
  sd: number;
  percentile005: number;
  median: number;
  percentile995: number;
}

export interface LabelMeasures {
  value: number;
  name: string;
  voxels: number;
  ml: number;
  /** Connected parts (26 neighbours), and the share of the voxels that the largest holds; null where there are none. */
  components: number;
  largestShare: number | null;
  /** A voxel of it lies on the border of the scan, so it may be cut off. */
  touchesBorder: boolean;
}

/** What a case looks like, from its files as they are. */
export interface CaseMeasures {
  id: string;
  part: "training" | "test";
  /** Voxels along D, H, W as stored, their size in mm, and both multiplied. */
  shape: Vec3;
  spacing: Vec3;
  extent: Vec3;
  orientation: string;
  /** Per channel, from at most 200,000 evenly spaced voxels; null where there is no such voxel. Without labels all is outside. */
  channels: { name: string; inside: Intensities | null; outside: Intensities | null }[];
  /** Foreground labels in the set's order; null without a label map. */
  labels: LabelMeasures[] | null;
}

const mostSamples = 200_000;

/** Measures one case; `images` one a channel, on one grid with `label`. Voxels that are not finite are left out. */
export function measureCase(
  { id, part }: Pick<CaseMeasures, "id" | "part">,
  images: readonly Volume[],
  label: Volume | undefined,
  { channels, labels }: { channels: readonly string[]; labels: readonly LabelInfo[] },
): CaseMeasures {
  const [first] = images;
  const spacing = spacingOf(first);
  return {
    id,
    part,
    shape: [...first.shape],
    spacing,
    extent: first.shape.map((n, axis) => n * spacing[axis]) as Vec3,
    orientation: axisCodes(first.affine),
    channels: images.map((image, c) => ({ name: channels[c], ...intensities(image, label) })),
    labels: label ? labels.filter(({ value }) => value !== 0).map((info) => measureLabel(label, info)) : null,
  };
}

function measureLabel(map: Volume, { value, name }: LabelInfo): LabelMeasures {
  const { sizes, starts, ends } = findComponents(map.data, [value], map.shape);
  const voxels = sizes.reduce((sum, size) => sum + size, 0);
  return {
    value,
    name,
    voxels,
    ml: (voxels * voxelVolume(map.affine)) / 1000,
    components: sizes.length,
    largestShare: voxels > 0 ? sizes[0] / voxels : null,
    touchesBorder: starts.some((start, run) => onBorder(start, ends[run], map.shape)),
  };
}

/** Whether a run along W has a voxel on the first or last plane of an axis. An axis of one voxel has no border. */
function onBorder(start: number, end: number, [D, H, W]: Vec3): boolean {
  const [d, h, w] = [Math.floor(start / (H * W)), Math.floor(start / W) % H, start % W];
  const first = (at: number, n: number): boolean => n > 1 && (at === 0 || at === n - 1);
  return first(d, D) || first(h, H) || (W > 1 && (w === 0 || w + end - start === W));
}

function intensities({ data }: Volume, label: Volume | undefined) {
  let count = 0;
  if (label) for (let i = 0; i < label.data.length; i++) if (label.data[i] !== 0) count++;
  const sample = (wanted: number, inside: boolean): Intensities | null => {
    const step = Math.max(1, wanted / mostSamples);
    const values: number[] = [];
    let seen = 0;
    for (let i = 0; i < data.length; i++) {
      if (label ? (label.data[i] !== 0) !== inside : inside) continue;
      // The next voxel in line is taken when the count of voxels reaches its place.
      if (seen++ < Math.floor(values.length * step)) continue;
      if (Number.isFinite(data[i])) values.push(data[i]);
    }
    if (values.length === 0) return null;
    const [percentile005, median, percentile995] = percentiles(values, [0.5, 50, 99.5]);
    return { ...meanAndSd(values), percentile005, median, percentile995 };
  };
  return { inside: sample(count, true), outside: sample(data.length - count, false) };
}
