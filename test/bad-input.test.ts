import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { modelToBytes } from "../src/model/file.ts";
import { readSafetensors, writeSafetensors } from "../src/model/safetensors.ts";
import { sampleModel } from "../src/model/sample.ts";
import { parseNet } from "../src/net/make.ts";

let folder: string;
let data: string;
let scan: string;
const bytes = modelToBytes(
  sampleModel(parseNet("lean:2", { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 })),
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-bad-"));
  data = join(folder, "data");
  await writePhantomDataset(data, { cases: 6, test: 1, shape: [24, 32, 24] });
  scan = join(data, "imagesTs", "phantom_007.nii.gz");
});
afterAll(() => rm(folder, { recursive: true }));

let errors: string;
let output: string;
beforeEach(() => {
  errors = "";
  output = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += text;
    return true;
  });
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs a command that must end with exit code 1 and nothing but this sentence. */
async function refused(args: string[], sentence: string | RegExp): Promise<void> {
  errors = "";
  expect(await main(args), errors).toBe(1);
  expect(output).toBe("");
  if (typeof sentence === "string") expect(errors).toBe(`lunet: ${sentence}\n`);
  else expect(errors).toMatch(sentence);
}

/** Runs something as a user who may not write into root's folders; only root has to become another one for that. */
async function asOrdinaryUser<T>(act: () => Promise<T>): Promise<T> {
  if (process.geteuid!() !== 0) return act();
  process.seteuid!(65534);
  try {
    return await act();
  } finally {
    process.seteuid!(0);
  }
}

describe("a model file", () => {
  it("that is cut short", async () => {
    const model = join(folder, "cut.safetensors");
    await writeFile(model, bytes.subarray(0, bytes.length - 1));
    await refused(
      ["predict", scan, "--model", model, "--out", join(folder, "out")],
      `${model} is cut short: tensor head.bias ends at byte ${bytes.length}, but the file has ${bytes.length - 1}; copy it again.`,
    );
    await writeFile(model, bytes.subarray(0, 100));
    await refused(
      ["info", model],
      `${model} is cut short: its header needs ${8 + new DataView(bytes.buffer).getUint32(0, true)} bytes, but the file has 100; copy it again.`,
    );
  });

  it("of a newer version", async () => {
    const model = join(folder, "newer.safetensors");
    const file = readSafetensors(bytes, "sample");
    file.metadata.lunet = JSON.stringify({ ...JSON.parse(file.metadata.lunet), version: 2 });
    await writeFile(model, writeSafetensors(file));
    await refused(
      ["export", model, "--onnx", join(folder, "x.onnx")],
      `${model} has model format 2, but this lunet reads up to 1: update lunet.`,
    );
  });
});

describe("training", () => {
  const train = (...args: string[]): string[] => ["train", data, "--out", join(folder, "run"), ...args];

  it("of a net that does not exist", async () => {
    const sentence =
      "Expected a net such as lean:8 or unet:4 (families: lean, flat, unet, doubling; or a JSON object of widths), but " +
      'got "leen:8"; did you mean lean:8?';
    await refused(train("--net", "leen:8"), sentence);
    await refused(["info", "leen:8"], sentence);
  });

  it("of a net in a file that holds none", async () => {
    const net = join(folder, "net.json");
    const tries: [string, string | RegExp][] = [
      ["[8, 8]", `Expected a JSON object of widths in ${net}, but it holds [8,8].`],
      [
        '{"encoder": [[4, 0]], "bottleneck": [4], "decoder": [{"up": 4, "convs": [4]}]}',
        /net\.json: Expected key "encoder\.0\.1" of the net/,
      ],
      ["{", /^lunet: \S+net\.json should be JSON but is not \(.+\); correct or replace the file\.\n$/],
    ];
    for (const [text, sentence] of tries) {
      await writeFile(net, text);
      await refused(train("--net", net), sentence);
    }
  });

  it("by a plan that is none", async () => {
    const plan = join(folder, "plan.json");
    await writeFile(plan, '{"version": 1}');
    await refused(train("--plan", plan), `${plan}: Expected key "dataset" in the plan, but it is missing.`);
  });

  it("on a patch that the pools do not divide", async () => {
    await refused(
      train("--levels", "3", "--patch", "18x32x24"),
      "Expected --patch to be a multiple of 4 along D (the product of the net's pools), but got 18; use 20.",
    );
  });

  it("with more pools than a patch allows", async () => {
    await refused(
      ["plan", data, "--patch", "8,8,8", "--pools", "4"],
      "Expected room for 4 pools, but a patch of 8x8x8 voxels allows 2; use fewer pools or a larger patch.",
    );
  });

  it("on a fold without training cases", async () => {
    const splits = join(data, "splits.json");
    await writeFile(splits, JSON.stringify([{ train: [], val: ["phantom_001"] }]));
    await refused(
      train(),
      "Expected training cases in fold 0, but splits.json lists none; mend the file or choose another --fold.",
    );
    await rm(splits);
  });

  it("that needs more memory than there is", async () => {
    await refused(
      train("--levels", "3", "--patch", "1024", "--batch", "1024"),
      /^lunet: A training step on 1024 windows of 1024x1024x1024 needs \d+\.\d GiB in the engine, which can address 4\.0 GiB; .*--patch \d+x\d+x\d+ would fit\.\n$/,
    );
  });

  it("into a folder that holds a run: nothing of it is touched, whatever is wrong with the new one", async () => {
    const out = join(folder, "held");
    await mkdir(out);
    await writeFile(join(out, "run.json"), "{}");
    await writeFile(join(out, "model.safetensors"), bytes);
    await refused(
      ["train", data, "--out", out],
      `${out} already holds a run; add --resume to go on with it, --force to replace it, or choose another --out.`,
    );
    expect(await main(["train", data, "--out", out, "--force", "--net", "leen:8"])).toBe(1);
    expect(await readdir(out)).toEqual(["model.safetensors", "run.json"]);
    expect(await readFile(join(out, "model.safetensors"))).toEqual(Buffer.from(bytes));
  });

  // Windows has no user ids to change to
  it.skipIf(!process.seteuid)("into a folder where the user may not write", async () => {
    const closed = join(folder, "closed");
    await mkdir(closed, { mode: 0o555 });
    await chmod(folder, 0o755); // so that the other user gets as far as the closed folder
    await asOrdinaryUser(() =>
      refused(
        ["train", data, "--out", join(closed, "run")],
        `No permission for ${join(closed, "run")}; choose another place or change its permissions.`,
      ),
    );
    expect(await readdir(closed)).toEqual([]);
  });
});
