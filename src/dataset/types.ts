import type { Vec3 } from "../volume/volume.ts";

/** One patient scan: a file per channel, and its label map where there is one. */
export interface DatasetCase {
  id: string;
  /** Absolute paths, one per channel. */
  images: string[];
  label?: string;
}

export interface LabelInfo {
  /** Voxel value in the label files; 0 is background. Classes of the net are indices into this list. */
  value: number;
  name: string;
}

/**
 * A union of labels that the net learns as an output of its own, so that targets may overlap or nest (nnU-Net's region-based
 * training). Label maps stay whole numbers: predictions paint the regions in the order of their list, later over earlier.
 */
export interface Region {
  name: string;
  /** Label values that belong to it, ascending, without 0. */
  values: number[];
  /** The value, one of `values`, that a prediction writes where the region is found (nnU-Net's regions_class_order). */
  paint: number;
}

/** A data set folder as read from disk (MSD, nnU-Net raw, or plain image and label folders). */
export interface Dataset {
  name: string;
  root: string;
  /** Channel names as in dataset.json, e.g. "MRI", "CT". */
  channels: string[];
  /** Ascending values, background first. */
  labels: LabelInfo[];
  /** Where targets overlap: what the net learns instead of the labels; 1 to 8. */
  regions?: Region[];
  training: DatasetCase[];
  test: DatasetCase[];
  /** Folds given by the set itself (splits.json): ids of training and validation cases. */
  splits?: Fold[];
}

export interface Fold {
  train: string[];
  val: string[];
}

/** How one channel is brought to a common scale. */
export type Normalisation =
  /** Per volume: clip to these percentiles of the volume (null: no clip), then zero mean, unit variance. */
  | { kind: "zscore"; percentiles: [number, number] | null }
  /** CT (nnU-Net): clip to the foreground percentiles of the whole set, then its mean and sd. */
  | { kind: "ct"; low: number; high: number; mean: number; sd: number }
  /** Divide by a constant (e.g. 255 for 8-bit pictures). */
  | { kind: "scale"; divisor: number };

/** Everything that decides how a scan becomes the net's input and the net's output a label map. Stored in the model file. */
export interface Plan {
  version: 1;
  dataset: string;
  dimensions: 2 | 3;
  channels: { name: string; normalisation: Normalisation }[];
  labels: LabelInfo[];
  /** Outputs of the net where targets overlap (sigmoid); absent: one class per label (softmax). */
  regions?: Region[];
  /** mm along D, H, W in canonical RAS+ orientation. */
  spacing: Vec3;
  /** Voxels of a training patch and of the prediction window. */
  patch: Vec3;
  batch: number;
  /** One entry per pool: 1 or 2 along D, H, W. */
  pools: Vec3[];
  /** One entry per level (pools + 1): 1 or 3 along D, H, W. */
  kernels: Vec3[];
  /** Axes (0 = D, 1 = H, 2 = W) along which mirroring is allowed. */
  mirrorAxes: number[];
  /** The planner's reasons, a sentence each. */
  reasons: string[];
}

/** A case in the net's space: canonical orientation, target spacing, normalised. */
export interface PreparedCase {
  id: string;
  /** [C, D, H, W]. */
  image: Float32Array;
  shape: Vec3;
  /** Class indices [D, H, W] (indices into Plan.labels). */
  label?: Uint8Array;
  /** A teacher's probabilities [F, D, H, W] in steps of 1/255; see soft.ts. */
  soft?: Uint8Array;
  /** What is needed to bring a prediction back to the input's own grid. */
  source: {
    /** Shape and affine of the file. */
    shape: Vec3;
    affine: number[];
    /** The crop in canonical orientation before resampling: start (D, H, W) and size, and the canonical shape. */
    canonicalShape: Vec3;
    cropStart: Vec3;
    cropShape: Vec3;
  };
}
