import { MEMORY_LIMIT } from "../../src/engine/wasm/arena.ts";
import { planMemory } from "../../src/engine/wasm/plan-memory.ts";
import { buildGraph } from "../../src/net/build.ts";
import { trainSpecOf } from "../../src/train/presets.ts";
import type { RunSetup } from "../../src/train/setup.ts";
import type { LabelledScan } from "../../src/train/train-scans.ts";
import { spacingOf, voxelCount } from "../../src/volume/volume.ts";
import { bytes as bytesText } from "../shared/format.ts";

/** Bytes that training would take in the page. */
export interface PageNeed {
  /** Scans as they were read, and as the net sees them. */
  scans: number;
  /** The engine's programs of a step and of a check. */
  engine: number;
  total: number;
  /** Why it cannot start. */
  refusal: string | null;
}

/** Programs that the checks keep for the next check, in bytes (src/train/validate.ts). */
const keptBytes = 2 ** 29;
/** Batches that are made ahead, and the page with its code. */
const waitingBatches = 2;
const pageBytes = 100e6;

/** Bytes that a page may count on: three quarters of what the browser says that the machine has, 3 GB where it says nothing. */
export function pageRoom(): number {
  const { deviceMemory = 4 } = navigator as { deviceMemory?: number };
  return 0.75 * deviceMemory * 1e9;
}

/** What a run takes, without starting it. */
export function pageNeed(
  {
    plan,
    net,
    settings,
    dataset,
    validationCases,
  }: Pick<RunSetup, "plan" | "net" | "settings" | "dataset" | "validationCases">,
  scans: ReadonlyMap<string, LabelledScan>,
  threads: number,
): PageNeed {
  const { batch, window, deepSupervision } = settings;
  const graph = buildGraph(net, { batch, shape: window, deepSupervision });
  const trainer = planMemory(graph, trainSpecOf(settings), { threads }).total;
  const checker = planMemory(buildGraph(net, { batch: 1, shape: plan.patch }), undefined, { threads }).total;
  const perVoxel = 4 * dataset.channels.length + 1;
  const target = plan.spacing.reduce((product, mm) => product * mm, 1);
  let read = 0;
  let prepared = 0;
  for (const { images, label } of scans.values()) {
    for (const { data } of [...images, label]) read += data.byteLength;
    const own = spacingOf(images[0]).reduce((product, mm) => product * mm, 1);
    const flat = images[0].shape.includes(1);
    prepared += voxelCount(images[0].shape) * (flat ? 1 : own / target) * perVoxel;
  }
  const waiting = waitingBatches * batch * voxelCount(window) * perVoxel;
  // One a shape of the cases that validate, as far as they are kept, and one for the case that is shown.
  const kept = Math.max(1, Math.min(validationCases.length, Math.floor(keptBytes / checker)));
  const checkers = validationCases.length === 0 ? 0 : (kept + 1) * checker;
  const need = { scans: read + prepared, engine: trainer + checkers };
  const total = need.scans + need.engine + waiting + pageBytes;
  const steps = `steps on ${batch} ${batch === 1 ? "window" : "windows"} of ${window.join("x")}`;
  const advice = "Take a smaller net, or a smaller batch or window under Advanced.";
  let refusal: string | null = null;
  if (trainer > MEMORY_LIMIT) {
    refusal = `Training needs ${bytesText(trainer)} for ${steps}, and the engine can address ${bytesText(MEMORY_LIMIT)}. ${advice}`;
  } else if (total > pageRoom()) {
    refusal = `Training needs about ${bytesText(total)} (${bytesText(need.scans)} for the scans, ${bytesText(need.engine)} for ${steps}), and a page can count on ${bytesText(pageRoom())} here. ${need.scans > pageRoom() / 2 ? "Train on fewer cases, or on the command line." : advice}`;
  }
  return { ...need, total, refusal };
}
