import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { evaluateCommand } from "../src/cli/evaluate.ts";
import { predictCommand } from "../src/cli/predict.ts";
import { type TrainOptions, trainNet } from "../src/train/train.ts";
import { type Random, random } from "../src/util/random.ts";
import { readVolume, writeVolume } from "../src/volume/files.ts";
import type { Vec3 } from "../src/volume/volume.ts";

/* Sets of pictures and of single slices go the whole way: train, predict, evaluate. Each shows discs that are easy to find. */

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-flat-"));
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, "write").mockImplementation(() => true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(root, { recursive: true });
});

/** Discs of classes 1, 2, ... side by side; sizes differ from picture to picture. */
interface Scene {
  height: number;
  width: number;
  classes: Uint8Array;
  generator: Random;
}

function sceneOf(index: number, discs: number): Scene {
  const generator = random(index, 5);
  const [height, width] = [24 + 2 * generator.int(4), 28 + 2 * generator.int(4)];
  const classes = new Uint8Array(height * width);
  for (let c = 1; c <= discs; c++) {
    const x = (width * (c - 0.5)) / discs + generator.uniform(-1, 1);
    const y = height / 2 + generator.uniform(-5, 5);
    for (let i = 0; i < classes.length; i++) {
      if (Math.hypot((i % width) - x, Math.floor(i / width) - y) < 5) classes[i] = c;
    }
  }
  return { height, width, classes, generator };
}

/** Values of a channel: the level of each pixel's class, with noise. */
const values = ({ classes, generator }: Scene, levels: number[], sd: number): number[] =>
  Array.from(classes, (c) => levels[c] + sd * generator.normal());

/** A PNG file of 8 or 16 bits, grey (colour type 0) or red, green, blue (2); `channels` hold a value per pixel. */
function png({ width, height }: Scene, bits: 8 | 16, channels: number[][]): Buffer {
  const rows = Array.from({ length: height }, (_, y) => {
    const samples = Array.from({ length: width }, (_, x) => channels.map((channel) => channel[y * width + x])).flat();
    const row = Buffer.alloc(1 + (samples.length * bits) / 8); // filter 0 before each row
    for (const [i, sample] of samples.entries()) row.writeUIntBE(Math.round(sample), 1 + (i * bits) / 8, bits / 8);
    return row;
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, channels.length === 3 ? 2 : 0], 8);
  const part = (type: string, body: Buffer): Buffer => {
    const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), body, Buffer.alloc(4)]);
    bytes.writeUInt32BE(body.length, 0);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + body.length)), 8 + body.length);
    return bytes;
  };
  const signature = Buffer.of(137, 80, 78, 71, 13, 10, 26, 10);
  return Buffer.concat([
    signature,
    part("IHDR", header),
    part("IDAT", deflateSync(Buffer.concat(rows))),
    part("IEND", Buffer.alloc(0)),
  ]);
}

interface Kind {
  /** Label values by class. */
  labels: number[];
  ending: ".png" | ".nii.gz";
  /** Files of a case's image, by what follows its id. */
  image: (scene: Scene) => Record<string, Buffer | number[]>;
  /** Of dataset.json; none: plain folders. */
  json?: object;
  /** Of a NIfTI slice, as the file stores it: its axis of one voxel, in D, H, W. */
  flat?: number;
}

const affine = Float64Array.of(0.8, 0, 0, 3, 0, 0.8, 0, -5, 0, 0, 0.8, 7, 0, 0, 0, 1);
const slice = ({ height, width }: Scene, flat: number): Vec3 =>
  [[1, height, width] as const, [height, 1, width] as const, [height, width, 1] as const][flat].slice() as Vec3;

const kinds: Record<string, Kind> = {
  "grey PNG, labels 0 and 255": {
    labels: [0, 255],
    ending: ".png",
    image: (scene) => ({ "": png(scene, 8, [values(scene, [90, 150], 10)]) }),
    json: { modality: { 0: "CT (grey values stretched)" }, labels: { 0: "background", 255: "nodule" } },
  },
  // The discs are as bright as what is around them: only their colour tells.
  "RGB PNG, nnU-Net's layout": {
    labels: [0, 1, 2],
    ending: ".png",
    image: (scene) => ({
      _0000: png(
        scene,
        8,
        [
          [100, 160, 70],
          [100, 70, 70],
          [100, 70, 160],
        ].map((levels) => values(scene, levels, 8)),
      ),
    }),
    json: {
      channel_names: { 0: "R", 1: "G", 2: "B" },
      labels: { background: 0, red: 1, blue: 2 },
      file_ending: ".png",
    },
  },
  "16-bit PNG in plain folders": {
    labels: [0, 255],
    ending: ".png",
    image: (scene) => ({ "": png(scene, 16, [values(scene, [30000, 31000], 200)]) }),
  },
  "RGB PNG in plain folders": {
    labels: [0, 7],
    ending: ".png",
    image: (scene) => ({
      "": png(
        scene,
        8,
        [
          [80, 140],
          [140, 80],
          [110, 110],
        ].map((levels) => values(scene, levels, 8)),
      ),
    }),
  },
  // Either disc is seen in one channel only.
  "two channels, each with its own normalisation": {
    labels: [0, 10, 20],
    ending: ".png",
    image: (scene) => ({
      _0000: png(scene, 16, [values(scene, [1000, 1080, 1000], 15)]),
      _0001: png(scene, 8, [values(scene, [60, 60, 140], 10)]),
    }),
    json: {
      channel_names: { 0: "CT", 1: "MRI" },
      labels: { background: 0, left: 10, right: 20 },
      file_ending: ".png",
    },
  },
  "axial NIfTI slices": {
    labels: [0, 1],
    ending: ".nii.gz",
    flat: 0,
    image: (scene) => ({ "": values(scene, [0, 3], 0.6) }),
    json: { modality: { 0: "MRI" }, labels: { 0: "background", 1: "disc" } },
  },
  "coronal NIfTI slices": {
    labels: [0, 1],
    ending: ".nii.gz",
    flat: 1,
    image: (scene) => ({ "": values(scene, [0, 3], 0.6) }),
    json: { modality: { 0: "MRI" }, labels: { 0: "background", 1: "disc" } },
  },
  "sagittal NIfTI slices": {
    labels: [0, 1],
    ending: ".nii.gz",
    flat: 2,
    image: (scene) => ({ "": values(scene, [0, 3], 0.6) }),
    json: { modality: { 0: "MRI" }, labels: { 0: "background", 1: "disc" } },
  },
};

async function writeCase(folder: string, part: "Tr" | "Ts", index: number, kind: Kind): Promise<string> {
  const scene = sceneOf(index, kind.labels.length - 1);
  const id = `disc${index}`;
  const shape = slice(scene, kind.flat ?? 0);
  for (const [suffix, content] of Object.entries(kind.image(scene))) {
    const path = join(folder, `images${part}`, `${id}${suffix}${kind.ending}`);
    if (content instanceof Buffer) await writeFile(path, content);
    else await writeVolume(path, { data: Float32Array.from(content), shape, affine });
  }
  const data = scene.classes.map((c) => kind.labels[c]);
  await writeVolume(join(folder, `labels${part}`, `${id}${kind.ending}`), { data, shape, affine });
  return id;
}

test.each(Object.entries(kinds))("%s", async (name, kind) => {
  const folder = join(root, name);
  const at = (...parts: string[]): string => join(folder, ...parts);
  for (const part of ["imagesTr", "labelsTr", "imagesTs", "labelsTs"]) await mkdir(at(part), { recursive: true });
  for (let i = 0; i < 8; i++) await writeCase(folder, "Tr", i, kind);
  for (let i = 8; i < 11; i++) await writeCase(folder, "Ts", i, kind);
  if (kind.json) await writeFile(at("dataset.json"), JSON.stringify(kind.json));
  const data: Partial<TrainOptions> = kind.json ? { data: folder } : { images: at("imagesTr"), labels: at("labelsTr") };
  const options = { net: "lean:6", levels: 3, convs: 1, budget: { steps: 60 }, epochSteps: 60, threads: 1, folds: 4 };
  const settings = { batch: 4, augment: "light" as const };
  const { run } = await trainNet({ ...data, ...options, settings, out: at("run") });
  expect(run.result?.best.dice).toHaveLength(kind.labels.length - 1);
  // Seen before predicting, so that a failure tells whether training or prediction went wrong.
  for (const dice of run.result?.best.dice ?? []) expect(dice).toBeGreaterThan(0.85);

  const program = [at("imagesTs"), "--model", at("run"), "--out", at("predicted"), "--threads", "1"];
  await predictCommand.parseAsync(program, { from: "user" });
  const maps = ["disc10", "disc8", "disc9"].map((id) => id + kind.ending);
  expect((await readdir(at("predicted"))).sort()).toEqual([...maps, "predictions.jsonl"]);
  const predicted = await readVolume(at("predicted", `disc9${kind.ending}`));
  const truth = await readVolume(at("labelsTs", `disc9${kind.ending}`));
  expect(predicted.shape).toEqual(truth.shape);
  expect([...predicted.affine]).toEqual([...truth.affine]);
  expect([...new Set(predicted.data)].sort((a, b) => a - b)).toEqual(kind.labels);

  await evaluateCommand.parseAsync([at("predicted"), at("labelsTs"), "--json", at("scores.json")], { from: "user" });
  const scores = JSON.parse(await readFile(at("scores.json"), "utf8"));
  expect(scores.classes.map(({ value }: { value: number }) => value)).toEqual(kind.labels.slice(1));
  // Discs of 78 pixels: a rim of half a pixel all around is 0.9.
  for (const { dice } of scores.classes) expect(dice.mean).toBeGreaterThan(0.85);
});
