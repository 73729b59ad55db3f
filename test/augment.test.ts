import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { readModel } from "../src/model/file.ts";
import { type TrainOptions, trainNet } from "../src/train/train.ts";
import { random } from "../src/util/random.ts";
import { encodePng } from "../src/volume/png.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-augment-"));
  vi.stubEnv("SOURCE_DATE_EPOCH", "1700000000");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

/** Pictures of 32 x 32 with a bright disc in the middle. */
async function writePictures(folder: string): Promise<void> {
  await Promise.all(["imagesTr", "labelsTr"].map((sub) => mkdir(join(folder, sub), { recursive: true })));
  const ids = ["a", "b", "c", "d", "e"];
  for (const [index, id] of ids.entries()) {
    const generator = random(index, 8);
    const label = Uint8Array.from({ length: 1024 }, (_, i) =>
      Math.hypot((i % 32) - 15.5, (i >> 5) - 15.5) < 4 + index ? 255 : 0,
    );
    const image = label.map((v) => (v ? 150 : 50) + generator.int(60));
    for (const [sub, data] of Object.entries({ imagesTr: image, labelsTr: label })) {
      await writeFile(join(folder, sub, `${id}.png`), await encodePng({ width: 32, height: 32, channels: 1, data }));
    }
  }
  const json = {
    name: "Discs",
    modality: { 0: "CT" },
    labels: { 0: "background", 255: "disc" },
    training: ids.map((id) => ({ image: `./imagesTr/${id}.png`, label: `./labelsTr/${id}.png` })),
  };
  await writeFile(join(folder, "dataset.json"), JSON.stringify(json));
}

it.each(["scans", "pictures"])(
  "with full augmentation the same seed gives the same bytes after 3 epochs, on 1 and 2 threads: %s",
  async (kind) => {
    const data = join(root, kind);
    if (kind === "scans") await writePhantomDataset(data, { cases: 5, test: 1, shape: [20, 24, 20] });
    else await writePictures(data);
    const run = async (name: string, threads: number, seed: number): Promise<Buffer[]> => {
      const out = join(root, `${kind}-${name}`);
      const options: TrainOptions = {
        data,
        out,
        net: "lean:4",
        levels: 3,
        threads,
        mirrorAxes: [1, 2],
        budget: { epochs: 3 },
        settings: { augment: "full", seed, window: kind === "scans" ? "16" : "32" },
      };
      const { run: record } = await trainNet(options);
      expect(record).toMatchObject({
        state: "finished",
        settings: { augment: "full", shift: kind === "scans" ? 0 : 0.25 },
      });
      return Promise.all(["model", "model-last"].map((file) => readFile(join(out, `${file}.safetensors`))));
    };
    const first = await run("first", 1, 4);
    expect(await run("again", 1, 4)).toEqual(first);
    expect(await run("threads", 2, 4)).toEqual(first);
    const [other] = await run("other", 1, 5);
    const weights = (bytes: Buffer): unknown => [...readModel(bytes, "model").tensors];
    expect(weights(other)).not.toEqual(weights(first[0]));
  },
);
