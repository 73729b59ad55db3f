import type { LabelInfo } from "../../src/dataset/types.ts";
import type { Model } from "../../src/model/types.ts";
import type { SurfaceMesh } from "../../src/volume/surface-nets.ts";
import type { Vec3, Volume } from "../../src/volume/volume.ts";
import type { EngineChoice } from "../shared/engine.ts";
import type { Scan } from "../shared/scan.ts";
import { createStore, type Store as SharedStore } from "../shared/store.ts";
import type { SegmentResult } from "../worker/segment-worker.ts";
import type { Mask } from "./mask.ts";
import { startsFromFeet } from "./sides.ts";

/** A scan with what the page needs of its first volume. */
export interface OpenScan {
  scan: Scan;
  /** The channels with voxel axes along R, A, S: what is shown and drawn on. */
  canonical: Volume[];
  /** mm along D, H, W of the canonical grid. */
  spacing: Vec3;
}

export interface ModelFile {
  name: string;
  bytes: Uint8Array;
  model: Model;
  builtIn?: boolean;
}

export type Run =
  | { status: "idle" }
  | { status: "running"; done: number; total: number; start: number }
  | { status: "cancelled" }
  | { status: "done"; result: Omit<SegmentResult, "labels"> };

export const views = ["all", "axial", "coronal", "sagittal", "3d"] as const;
export type View = (typeof views)[number];
/** Usual windows of CT, in Hounsfield units. */
export const windows: { name: string; range: readonly [number, number] | null }[] = [
  { name: "Auto contrast", range: null },
  { name: "Soft tissue", range: [-160, 240] },
  { name: "Brain", range: [0, 80] },
  { name: "Lung", range: [-1350, 150] },
  { name: "Bone", range: [-500, 1300] },
];
export type Shown = "mask" | "reference" | "difference";
export type Tool = "move" | "draw" | "erase";

export interface State {
  scan: OpenScan | null;
  /** Whether a scan is being read. */
  opening: boolean;
  channel: number;
  /** Place in {@link windows}. */
  window: number;
  /** Whether the scan's values look like Hounsfield units. */
  isCt: boolean;
  models: readonly ModelFile[];
  engine: EngineChoice;
  run: Run;
  /** What the engine had to say of the last run. */
  words: readonly string[];
  mask: Mask | null;
  /** Labels of the mask. */
  labels: readonly LabelInfo[];
  /** Data set of the models that made the mask, or whose labels it was drawn with. */
  source: string;
  /** Counts up with every change of the mask's voxels. */
  version: number;
  /** The version that was saved last. */
  saved: number;
  reference: { name: string; data: Uint8Array } | null;
  shown: Shown;
  maskOn: boolean;
  opacity: number;
  hidden: ReadonlySet<number>;
  surfaces: ReadonlyMap<number, SurfaceMesh>;
  view: View;
  /** The patient's left on the right, as radiologists look at slices; pictures have no sides. */
  fromFeet: boolean;
  tool: Tool;
  /** What the pen writes where the labels have it; see penOf. */
  penLabel: number;
  /** Diameter in mm. */
  penSize: number;
}

const initial: State = {
  scan: null,
  opening: false,
  channel: 0,
  window: 0,
  isCt: false,
  models: [],
  engine: "auto",
  run: { status: "idle" },
  words: [],
  mask: null,
  labels: [],
  source: "",
  version: 0,
  saved: 0,
  reference: null,
  shown: "mask",
  maskOn: true,
  opacity: 0.6,
  hidden: new Set(),
  surfaces: new Map(),
  view: "all",
  fromFeet: startsFromFeet(),
  tool: "move",
  penLabel: 1,
  penSize: 6,
};

export type Store = SharedStore<State>;

export function createSegmentStore(): Store {
  return createStore(initial);
}

/** Whether someone drew on the mask since it was made or saved. */
export function hasUnsaved({ mask, version, saved }: State): boolean {
  return mask?.edited === true && version !== saved;
}
