import type { Random } from "../util/random.ts";
import type { Vec3 } from "../volume/volume.ts";
import { addNoise } from "./augment-noise.ts";
import { blur, lowerResolution } from "./augment-resolution.ts";
import { changeContrast, changeGamma, scaleBrightness } from "./intensity.ts";
import { zoomAcross } from "./warp-matrix.ts";

/** What a level does to a patch; levels differ in nothing else. */
interface Parts {
  /** Rotation and zoom. */
  warp: boolean;
  /** Mirroring along the plan's axes, and windows that hang over the edge. */
  move: boolean;
  /** Which of {@link intensitySteps}. */
  intensities: "none" | "light" | "all";
}

/**
 * none: the patch as it is. light: what is nearly free (brightness, contrast, noise, mirroring, shift). full: nnU-Net's chain and
 * shift. spatial, intensity: only these parts of full, to tell apart what each gives.
 */
export const augmentLevels = {
  none: { warp: false, move: false, intensities: "none" },
  light: { warp: false, move: true, intensities: "light" },
  full: { warp: true, move: true, intensities: "all" },
  spatial: { warp: true, move: true, intensities: "none" },
  intensity: { warp: false, move: false, intensities: "all" },
} as const satisfies Record<string, Parts>;

export type AugmentLevel = keyof typeof augmentLevels;

/** What a step needs to know beside the voxels. */
export interface StepContext {
  shape: Vec3;
  /** The axis that is left alone where steps change the resolution; null: none. */
  thick: number | null;
  random: Random;
}

/** A change of one channel's intensities, with its probabilities and the range of what is drawn. */
export interface IntensityStep {
  name: string;
  /** Of a patch to be changed at all. */
  probability: number;
  /** Of each channel of such a patch. */
  perChannel: number;
  range: readonly [number, number];
  /** What the drawn value is, as in "sigma". */
  value: string;
  /** Values below and above 1 are equally likely. */
  aroundOne?: boolean;
  /** All channels get one value. */
  shared?: boolean;
  light?: boolean;
  /** Changes a channel in place; `draw` gives a value of the range. */
  apply(x: Float32Array, draw: () => number, context: StepContext): void;
}

/**
 * In this order. Probabilities and ranges are nnU-Net's (Isensee et al., Nat Methods 2021, supplementary note 4, and nnU-Net v2's
 * get_training_transforms). Noise has one sigma for all channels, but is drawn for each, as a scanner's noise is.
 */
export const intensitySteps: readonly IntensityStep[] = [
  {
    name: "noise",
    probability: 0.1,
    perChannel: 1,
    range: [0, 0.1],
    value: "sigma",
    shared: true,
    light: true,
    apply: (x, draw, { random }) => addNoise(x, draw(), random),
  },
  {
    name: "blur",
    probability: 0.2,
    perChannel: 0.5,
    range: [0.5, 1],
    value: "sigma",
    apply: (x, draw, { shape }) => blur(x, shape, [draw(), draw(), draw()]),
  },
  {
    name: "brightness",
    probability: 0.15,
    perChannel: 1,
    range: [0.75, 1.25],
    value: "factor",
    aroundOne: true,
    light: true,
    apply: (x, draw) => scaleBrightness(x, draw()),
  },
  {
    name: "contrast",
    probability: 0.15,
    perChannel: 1,
    range: [0.75, 1.25],
    value: "factor",
    aroundOne: true,
    light: true,
    apply: (x, draw) => changeContrast(x, draw()),
  },
  {
    name: "low resolution",
    probability: 0.25,
    perChannel: 0.5,
    range: [0.5, 1],
    value: "zoom",
    apply: (x, draw, { shape, thick }) => lowerResolution(x, shape, zoomAcross(thick, draw())),
  },
  {
    name: "inverted gamma",
    probability: 0.1,
    perChannel: 1,
    range: [0.7, 1.5],
    value: "gamma",
    aroundOne: true,
    apply: (x, draw) => changeGamma(x, draw(), true),
  },
  {
    name: "gamma",
    probability: 0.3,
    perChannel: 1,
    range: [0.7, 1.5],
    value: "gamma",
    aroundOne: true,
    apply: (x, draw) => changeGamma(x, draw()),
  },
];
