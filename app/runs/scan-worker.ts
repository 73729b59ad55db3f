import { fail } from "../../src/util/errors.ts";
import { readMeta } from "../../src/volume/meta.ts";
import { readNifti } from "../../src/volume/nifti.ts";
import { readNrrd } from "../../src/volume/nrrd.ts";
import { reorient } from "../../src/volume/orientation.ts";
import { spacingOf, type Vec3, type Volume } from "../../src/volume/volume.ts";
import { upright } from "../shared/upright.ts";
import type { ScanRef } from "./source.ts";

/** What the worker is asked for: the image of a case and its label maps. */
export interface ScanOrder {
  image: ScanRef;
  truth: ScanRef | null;
  prediction: ScanRef | null;
  /** Whether the scans are pictures. */
  pictures: boolean;
  /** Name of the case in sentences. */
  id: string;
}

/** A case in RAS orientation, ready to be drawn: a byte a voxel each. */
export interface Scene {
  shape: Vec3;
  /** mm along D, H, W. */
  spacing: Vec3;
  /** Grey values, 0 to 255: percentiles 0.5 to 99.5 of the scan. */
  image: Uint8Array;
  truth: Uint8Array | null;
  prediction: Uint8Array | null;
  /** Label values that occur. */
  values: number[];
  /** Where truth and prediction differ most along D, H, W; else where most is labelled. */
  start: Vec3;
}

export type ScanMessage =
  | { kind: "step"; text: string }
  | { kind: "scene"; scene: Scene }
  | { kind: "failed"; message: string };

const send = (message: ScanMessage, transfer: Transferable[] = []): void => postMessage(message, { transfer });

addEventListener("message", async ({ data }: MessageEvent<ScanOrder>) => {
  try {
    const scene = await sceneOf(data);
    const arrays = [scene.image, scene.truth, scene.prediction].filter((array) => array !== null);
    send(
      { kind: "scene", scene },
      arrays.map((array) => array.buffer),
    );
  } catch (error) {
    const known = error instanceof Error && error.name === "UserError";
    const memory = error instanceof RangeError ? `The scans of ${data.id} do not fit the memory of the page.` : null;
    send({
      kind: "failed",
      message: memory ?? (known ? error.message : `The scans of ${data.id} cannot be shown: ${error}.`),
    });
  }
});

async function sceneOf(order: ScanOrder): Promise<Scene> {
  const { image: imageRef, truth: truthRef, prediction: predictionRef, pictures, id } = order;
  const readUpright = async (ref: ScanRef, name: string): Promise<Volume> =>
    reorient(upright(await read(ref, name), pictures));
  send({ kind: "step", text: "Reading the scan" });
  const volume = await readUpright(imageRef, `the scan of ${id}`);
  const image = greyOf(volume);
  const map = async (ref: ScanRef | null, what: string): Promise<Uint8Array | null> => {
    if (!ref) return null;
    send({ kind: "step", text: `Reading the ${what}` });
    const { data, shape } = await readUpright(ref, `the ${what} of ${id}`);
    if (shape.join() !== volume.shape.join()) {
      fail(`The ${what} of ${id} has ${shape.join(" x ")} voxels, but its scan has ${volume.shape.join(" x ")}.`);
    }
    return data instanceof Uint8Array ? data : Uint8Array.from(data as ArrayLike<number>);
  };
  const truth = await map(truthRef, "truth");
  const prediction = await map(predictionRef, "prediction");
  const { shape } = volume;
  return {
    ...{ shape, image, truth, prediction },
    spacing: spacingOf(volume),
    values: valuesOf([truth, prediction]),
    start: startOf(shape, truth, prediction),
  };
}

async function read(ref: ScanRef, name: string): Promise<Volume> {
  let bytes: Uint8Array;
  if ("url" in ref) {
    const response = await fetch(ref.url).catch(() =>
      fail(`${name} cannot be read: lunet serve does not answer any more.`),
    );
    if (!response.ok)
      fail(((await response.json().catch(() => ({}))) as { error?: string }).error ?? `${name} cannot be read.`);
    bytes = new Uint8Array(await response.arrayBuffer());
  } else {
    bytes = new Uint8Array(
      await ref.blob
        .arrayBuffer()
        .catch(() => fail(`${name} has changed since it was opened, or is too large; open the folder again.`)),
    );
  }
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 10));
  if (text.startsWith("NRRD")) return (await readNrrd(bytes, name))[0];
  if (/^(ObjectType|NDims|Comment)/.test(text)) return (await readMeta(bytes, name))[0];
  return (await readNifti(bytes, name)).volumes[0];
}

/** Grey values between two percentiles, found on a sample of the voxels. */
function greyOf({ data }: Volume): Uint8Array {
  const step = Math.max(1, Math.floor(data.length / 200_000));
  const sample = new Float64Array(Math.ceil(data.length / step));
  let count = 0;
  for (let i = 0; i < data.length; i += step) if (Number.isFinite(data[i])) sample[count++] = data[i];
  const sorted = sample.subarray(0, count).sort();
  const [low, high] = [0.005, 0.995].map((share) => sorted[Math.round(share * (count - 1))] ?? 0);
  const scale = 255 / (high - low || 1);
  // Clamps and rounds as it stores; what is not a number becomes 0.
  const grey = new Uint8ClampedArray(data.length);
  for (let i = 0; i < data.length; i++) grey[i] = (data[i] - low) * scale;
  return new Uint8Array(grey.buffer);
}

function valuesOf(maps: readonly (Uint8Array | null)[]): number[] {
  const seen = new Uint8Array(256);
  for (const map of maps) if (map) for (const value of map) seen[value] = 1;
  return [...seen.keys()].filter((value) => value > 0 && seen[value] === 1);
}

/** The slices to begin with. */
function startOf([d, h, w]: Vec3, truth: Uint8Array | null, prediction: Uint8Array | null): Vec3 {
  const counts = [new Float64Array(d), new Float64Array(h), new Float64Array(w)];
  const count = (marked: (i: number) => boolean): number => {
    let total = 0;
    let i = 0;
    for (let z = 0; z < d; z++) {
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++, i++) {
          if (!marked(i)) continue;
          counts[0][z]++;
          counts[1][y]++;
          counts[2][x]++;
          total++;
        }
      }
    }
    return total;
  };
  const one = truth ?? prediction;
  const differ = truth && prediction ? count((i) => truth[i] !== prediction[i]) : 0;
  const marked = differ > 0 || !one ? differ : count((i) => one[i] !== 0);
  const most = (counted: Float64Array): number => counted.reduce((best, n, i) => (n > counted[best] ? i : best), 0);
  return (marked > 0 ? counts.map(most) : [d >> 1, h >> 1, w >> 1]) as Vec3;
}
