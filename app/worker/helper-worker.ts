import { makePhantom } from "../../src/dataset/phantom.ts";
import type { Targets } from "../../src/dataset/regions.ts";
import { fail } from "../../src/util/errors.ts";
import { type SurfaceMesh, surfaceNets } from "../../src/volume/surface-nets.ts";
import type { Vec3, Volume } from "../../src/volume/volume.ts";
import { type FoundScan, findScans } from "../shared/read-scans.ts";
import type { NamedFile, Scan, ScanChoice } from "../shared/scan.ts";

/** Work that would hold up the page. */
export type HelperJob =
  | { kind: "scan"; files: NamedFile[] }
  /** A label map for the grid of a scan. */
  | { kind: "labels"; files: NamedFile[]; like: Volume; targets: Targets }
  /** A made-up scan. */
  | { kind: "phantom"; index: number }
  | { kind: "surface"; data: Uint8Array; shape: Vec3; value: number; affine: Float64Array };

/** What each job gives; null where the user chose nothing. */
export interface HelperResults {
  scan: Scan | null;
  labels: { name: string; volume: Volume } | null;
  phantom: { scan: Scan; truth: Volume<Uint8Array> };
  surface: SurfaceMesh;
}

export type ToHelper =
  | { type: "job"; id: number; job: HelperJob }
  | { type: "answer"; id: number; index: number | null };
export type FromHelper =
  | { type: "ask"; id: number; choices: ScanChoice[] }
  | { type: "done"; id: number; result: HelperResults[keyof HelperResults] }
  | { type: "failed"; id: number; name: string; message: string };

/** Not that of the phantoms on which the built-in model was trained. */
const seed = 7;

const send = (message: FromHelper, transfer: Transferable[] = []): void => postMessage(message, { transfer });
const waiting = new Map<number, (index: number | null) => void>();

/** The one that is meant: the only one, or the one that the user chooses. */
async function choose(id: number, found: FoundScan[]): Promise<FoundScan | null> {
  if (found.length === 1) return found[0];
  send({ type: "ask", id, choices: found.map(({ title, detail }) => ({ title, detail })) });
  const index = await new Promise<number | null>((resolve) => waiting.set(id, resolve));
  return index === null ? null : found[index];
}

async function run(id: number, job: HelperJob): Promise<HelperResults[keyof HelperResults]> {
  if (job.kind === "surface") return surfaceNets(job.data, job.shape, job.value, job.affine);
  if (job.kind === "phantom") {
    const { image, label } = makePhantom(seed, job.index);
    return { scan: { name: `phantom ${job.index}`, format: "made up", volumes: [image], notes: [] }, truth: label };
  }
  const found = await findScans(job.files);
  if (job.kind === "scan") {
    const scans = found.filter(({ labels }) => !labels);
    if (scans.length === 0) fail("The DICOM file is a segmentation, not a scan; drop it on Compare.");
    return (await choose(id, scans))?.read() ?? null;
  }
  const one = await choose(id, found);
  if (!one) return null;
  const volume = one.labels ? await one.labels(job.like, job.targets) : (await one.read()).volumes[0];
  return { name: one.title, volume };
}

/** The memory of voxels, handed over instead of copied; channels may share one. */
function buffersOf(result: HelperResults[keyof HelperResults]): ArrayBuffer[] {
  const volumes =
    !result || "triangles" in result
      ? []
      : "volumes" in result
        ? result.volumes
        : "scan" in result
          ? result.scan.volumes
          : [result.volume];
  return [...new Set(volumes.map(({ data }) => data.buffer as ArrayBuffer))];
}

addEventListener("message", async ({ data }: MessageEvent<ToHelper>) => {
  const { id } = data;
  if (data.type === "answer") {
    waiting.get(id)?.(data.index);
    waiting.delete(id);
    return;
  }
  try {
    const result = await run(id, data.job);
    send({ type: "done", id, result }, buffersOf(result));
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    send({ type: "failed", id, name, message });
  }
});
