import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../src/cli/main.ts";
import { random } from "../src/util/random.ts";
import { readVolume, writeVolume } from "../src/volume/files.ts";
import type { Vec3, VoxelArray } from "../src/volume/volume.ts";

/** Six sound cases, a to f, of two classes; every test changes a copy. */
let sound: string;
let folder: string;
let count = 0;
const ids = ["a", "b", "c", "d", "e", "f"];
const shape: Vec3 = [10, 12, 8];
const voxels = 960;

const affine = (mm = 1): Float64Array => Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, mm, 0, 0, 0, 0, 1);
const noise = (seed: number, n = voxels): Float32Array => {
  const r = random(seed);
  return Float32Array.from({ length: n }, () => 1 + r.next());
};
/** Both classes, or background alone. */
const mask = (...values: number[]): Uint8Array =>
  values.reduce((data, value, i) => data.fill(value, 300 + 200 * i, 500 + 200 * i), new Uint8Array(voxels));

async function write(path: string, data: VoxelArray, size = shape, at = affine()): Promise<void> {
  await writeVolume(join(folder, path), { data, shape: size, affine: at });
}
async function describeSet(change: Record<string, unknown> = {}): Promise<void> {
  const labels = { 0: "background", 1: "organ", 2: "rare" };
  await writeFile(
    join(folder, "dataset.json"),
    JSON.stringify({ name: "Tiny", modality: { 0: "MRI" }, labels, ...change }),
  );
}

beforeAll(async () => {
  sound = folder = await mkdtemp(join(tmpdir(), "lunet-bad-training-"));
  folder = join(sound, "set");
  for (const [seed, id] of ids.entries()) {
    await write(`imagesTr/${id}.nii.gz`, noise(seed));
    await write(`labelsTr/${id}.nii.gz`, mask(1, 2));
  }
  await describeSet();
});
afterAll(() => rm(sound, { recursive: true }));

// Many short trainings, each with a thread of its own to start.
vi.setConfig({ testTimeout: 120_000 });

let errors: string;
let output: string;
beforeEach(async () => {
  folder = join(sound, String(count++));
  await cp(join(sound, "set"), folder, { recursive: true });
  errors = "";
  output = "";
  const keep = (text: unknown): boolean => {
    output += text;
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(keep);
  vi.spyOn(console, "log").mockImplementation((text) => void keep(`${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

const out = (): string => join(folder, "run");
const small = ["--net", "lean:2", "--levels", "2", "--convs", "1", "--steps", "2", "--threads", "1"];
const training = (...more: string[]): string[] => ["train", folder, "--out", out(), ...small, ...more];
const planning = (...more: string[]): string[] => ["plan", folder, "--no-nets", ...more];

/** Must end with exit code 1 and one sentence. */
async function refused(args: string[], sentence: string | RegExp): Promise<void> {
  errors = "";
  process.exitCode = undefined;
  expect(await main(args), errors).toBe(1);
  const last = errors.trimEnd().split("\n").at(-1)!;
  if (typeof sentence === "string") expect(last).toBe(`lunet: ${sentence}`);
  else expect(last).toMatch(sentence);
}

/** Must end well; gives what went to stderr. */
async function works(args: string[]): Promise<string> {
  errors = "";
  output = "";
  process.exitCode = undefined;
  expect(await main(args), errors).toBe(0);
  return errors;
}

async function remove(...gone: string[]): Promise<void> {
  for (const id of gone) for (const part of ["imagesTr", "labelsTr"]) await rm(join(folder, part, `${id}.nii.gz`));
}

it("one case: no folds, but a plan, a warning, and --fold none", async () => {
  await remove("b", "c", "d", "e", "f");
  await refused(
    training(),
    "Expected at least 5 cases for 5 folds, but there is 1 (a); train on it without validation (--fold none).",
  );
  await works(planning());
  await works(["verify", folder]);
  expect(output).toContain(
    "(all): expected 2 training cases or more, so that some can validate, found 1; train on it with --fold none",
  );
  await works(training("--fold", "none"));
});

it("fewer cases than folds", async () => {
  await remove("d", "e", "f");
  await refused(
    training(),
    "Expected at least 5 cases for 5 folds, but there are 3 (a, b, c); make 3 folds at most (--folds), or train on all without validation (--fold none).",
  );
});

describe("a class", () => {
  it("that is absent from a fold's training cases is told", async () => {
    await writeFile(join(folder, "splits.json"), JSON.stringify([{ train: ["b", "c"], val: ["a"] }]));
    for (const id of ["b", "c"]) await write(`labelsTr/${id}.nii.gz`, mask(1));
    expect(await works(training())).toContain(
      "None of the 2 training cases of fold 0 has label 2 (rare), so the net cannot learn it. Its Dice is 1 in cases without it, 0 in the others.",
    );
    for (const id of ["b", "c"]) await write(`labelsTr/${id}.nii.gz`, mask());
    await refused(
      training("--force"),
      "Expected foreground in the 2 training cases of fold 0, but their labels are background only; look at the labels (lunet verify), or take another --fold.",
    );
  });

  it("that is absent from the whole set is told by plan and verify", async () => {
    for (const id of ids) await write(`labelsTr/${id}.nii.gz`, mask(1));
    await works(planning());
    expect(output).toContain(
      "No case has label 2 (rare), so the net cannot learn it: check dataset.json and the labels.",
    );
    await works(["verify", folder]);
    expect(output).toContain("(all): expected label 2 (rare) in some training case, found none has it");
  });

  it("a set without any is refused", async () => {
    for (const id of ids) await write(`labelsTr/${id}.nii.gz`, mask());
    const sentence =
      "Expected label 1 (organ) or 2 (rare) in some training case, but all 6 are background only; check that the labels are the right files and that dataset.json has their values.";
    await refused(planning(), sentence);
    await refused(training(), sentence);
  });
});

describe("a patch", () => {
  it("larger than the scans: they are padded", async () => {
    await works(training("--patch", "32x32x32"));
    await works(["predict", join(folder, "imagesTr/a.nii.gz"), "--model", out(), "--out", join(folder, "masks")]);
    expect((await readVolume(join(folder, "masks/a.nii.gz"))).shape).toEqual(shape);
  });

  it("larger than the memory: refused with what would fit", async () => {
    await refused(
      training("--patch", "2048x2048x2048"),
      /^lunet: A training step on 2 windows of 2048x2048x2048 needs [\d.]+ GiB in the engine, which can address 4\.0 GiB; .*--patch \d+x\d+x\d+ would fit\.$/,
    );
    await refused(
      planning("--patch", "2048x2048x2048"),
      /which can address 4\.0 GiB; --patch \d+x\d+x\d+ would fit\.$/,
    );
    await refused(
      planning("--memory", "64MB"),
      /^lunet: Expected steps of lean:8 within 64 MiB of memory, but even a patch of 8x8x8 with batch 1 takes \d+ MiB of memory; allow more, or take a smaller --net\.$/,
    );
  });
});

describe("a 4D file", () => {
  /** Puts a fourth axis of 3 into b's file, with the same voxels in every volume. */
  async function fourth(part: string, data: VoxelArray): Promise<void> {
    await rm(join(folder, part, "b.nii.gz"));
    await write(`${part}/b.nii`, data);
    const file = join(folder, part, "b.nii");
    const bytes = await readFile(file);
    bytes.writeInt16LE(4, 40);
    bytes.writeInt16LE(3, 48);
    const body = bytes.subarray(352);
    await writeFile(file, Buffer.concat([bytes, body, body]));
  }

  it("as an image of a set with one channel", async () => {
    await fourth("imagesTr", noise(1));
    const sentence =
      "Expected 1 channel (MRI) for case b, but its files hold 3; mend the files or the channel names in dataset.json.";
    await refused(planning(), sentence);
    await refused(training(), sentence);
    await refused(["verify", folder], /^$/);
    expect(output).toContain("b: expected 1 channel (MRI), found 3 readable");
  });

  it("as a label", async () => {
    await fourth("labelsTr", mask(1, 2));
    const sentence = /b\.nii: holds 3 volumes; expected one: split it into a file per channel\.$/;
    await refused(planning(), sentence);
    await refused(training(), sentence);
    await refused(["verify", folder], /^$/);
    expect(output).toMatch(/b: expected a readable label, found .*holds 3 volumes/);
  });

  it("with the channels that dataset.json names is a scan", async () => {
    await describeSet({ modality: { 0: "T1", 1: "T2", 2: "FLAIR" } });
    await remove("a", "c", "d", "e", "f");
    await fourth("imagesTr", noise(1));
    await works(planning());
    expect(output).toContain('Channel "FLAIR" has no absolute scale');
  });
});

it("mixed spacings and orientations: one set, and verify says so", async () => {
  await write("imagesTr/b.nii.gz", noise(1), shape, affine(3));
  await write("labelsTr/b.nii.gz", mask(1, 2), shape, affine(3));
  // i runs to the left, j upwards, k to the front: LSA. In RAS it has 12 x 10 x 8 voxels.
  const turned = Float64Array.of(-1, 0, 0, 7, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1);
  await write("imagesTr/c.nii.gz", noise(2), shape, turned);
  await write("labelsTr/c.nii.gz", mask(1, 2), shape, turned);
  await works(["verify", folder]);
  expect(output).toContain("  voxels (D x H x W)  10 x 10 x 8 to 12 x 12 x 8\n");
  expect(output).toContain("1 x 1 x 1 to 3 x 1 x 1; training brings every scan to one size (lunet plan)\n");
  expect(output).toContain("RAS (5), LSA (1); training turns every scan to RAS\n");
  expect(output).toContain("\n0 problems, 0 warnings.\n");
  await works(training());
  await works(["predict", join(folder, "imagesTr/c.nii.gz"), "--model", out(), "--out", join(folder, "masks")]);
  const { shape: size, affine: place } = await readVolume(join(folder, "masks/c.nii.gz"));
  expect(size).toEqual(shape);
  expect([...place]).toEqual([...turned]);
});

describe("images of different numbers of channels", () => {
  it("in nnU-Net's layout", async () => {
    await describeSet({ modality: { 0: "T1", 1: "T2" } });
    for (const id of ids) {
      await rm(join(folder, `imagesTr/${id}.nii.gz`));
      for (const c of [0, 1]) if (id !== "b" || c === 0) await write(`imagesTr/${id}_000${c}.nii.gz`, noise(c));
    }
    await refused(
      training(),
      "Expected 2 channels (T1, T2) for case b, but its files hold 1; mend the files or the channel names in dataset.json.",
    );
    await write("imagesTr/b_0002.nii.gz", noise(3));
    await refused(training(), /but 1 are missing \(.*b_0001\.nii\.gz\)/);
    await refused(["verify", folder], /^$/);
    expect(output).toMatch(/b: expected every image file in place, found no file .*b_0001\.nii\.gz/);
    await works(planning("--skip-bad"));
    expect(output).toMatch(/Leaving out case b: .*b_0001\.nii\.gz does not exist; check the path\./);
  });

  it("in plain folders", async () => {
    await rm(join(folder, "imagesTr/b.nii.gz"));
    for (const c of [0, 1]) await write(`imagesTr/b_000${c}.nii.gz`, noise(c));
    const plain = ["--images", join(folder, "imagesTr"), "--labels", join(folder, "labelsTr")];
    await refused(
      ["train", ...plain, "--out", out(), ...small],
      /^lunet: Expected a label in .*labelsTr for every image, but 2 of 7 cases have none \(b_0000, b_0001\); .*\.$/,
    );
  });
});

it("constant images are learnt from without a word of NaN", async () => {
  await describeSet({ modality: { 0: "CT", 1: "MRI" } });
  for (const [i, id] of ids.entries()) {
    await rm(join(folder, `imagesTr/${id}.nii.gz`));
    for (const c of [0, 1]) await write(`imagesTr/${id}_000${c}.nii.gz`, new Float32Array(voxels).fill(0.5 + i));
  }
  await works(["verify", folder]);
  expect(output).toContain("a: expected different values in channel CT, found all voxels are 0.5");
  await works(training());
  const [line] = (await readFile(join(out(), "log.jsonl"), "utf8")).split("\n");
  expect(JSON.parse(line).loss).toBeGreaterThan(0);
  // The scale of the constant CT is one that the model file can hold.
  await works(["info", out()]);
});

describe("a damaged case among many", () => {
  const damage = async (): Promise<string> => {
    const path = join(folder, "imagesTr/b.nii.gz");
    await writeFile(path, (await readFile(path)).subarray(0, 40));
    await rm(join(folder, "labelsTr/e.nii.gz"));
    return path;
  };

  it("is named, and left out only when asked", async () => {
    const path = await damage();
    const why = `${path}: compressed data is cut short or damaged after 0 unpacked bytes; copy the file again.`;
    const missing = /Expected a label in .*labelsTr for every image, but 1 of 6 cases has none \(e\)/;
    await refused(training(), missing);
    await refused(planning(), missing);
    await write("labelsTr/e.nii.gz", mask(1, 2));
    await refused(training(), why);
    await refused(planning(), why);
    await rm(join(folder, "labelsTr/e.nii.gz"));
    await works(planning("--skip-bad"));
    expect(output).toContain(`Leaving out case b: ${why}\n`);
    expect(output).toContain("Tiny: 4 training cases");
    await works(planning("--skip-bad", "--json"));
    expect(JSON.parse(output).skipped.map((bad: { case: string }) => bad.case)).toEqual(["b", "e"]);
  });

  it("is written down, and a resumed run goes on without it", async () => {
    const path = await damage();
    const told = await works(training("--skip-bad", "--folds", "4"));
    expect(told).toContain(`Leaving out case b: ${path}: compressed data is cut short or damaged`);
    expect(told).toContain("3 cases train, 1 validates");
    const file = join(out(), "run.json");
    const run = JSON.parse(await readFile(file, "utf8"));
    expect(run.skipped).toEqual([
      { case: "b", why: expect.stringContaining(path) },
      { case: "e", why: expect.stringContaining("e.nii.gz does not exist") },
    ]);
    expect([...run.trainingCases, ...run.validationCases].sort()).toEqual(["a", "c", "d", "f"]);
    await writeFile(file, JSON.stringify({ ...run, steps: 4, state: "interrupted" }));
    await works(["train", "--resume", "--out", out()]);
    const resumed = JSON.parse(await readFile(file, "utf8"));
    expect([resumed.state, resumed.skipped, resumed.trainingCases]).toEqual([
      "finished",
      run.skipped,
      run.trainingCases,
    ]);
  });

  it("is left out of pruning, also where a model trained on it is pruned", async () => {
    const trained = join(folder, "trained");
    await works(["train", folder, "--out", trained, ...small, "--folds", "4"]);
    await damage();
    const steps = ["--warm-steps", "1", "--recovery-steps", "1", "--until", "removed=1", "--threads", "1"];
    for (const net of [
      ["--net", "lean:2", "--levels", "2", "--convs", "1", "--folds", "4"],
      ["--from", trained],
    ]) {
      const pruning = ["prune", folder, "--out", out(), "--force", ...steps, ...net];
      await refused(pruning, /none \(e\); add the labels/);
      await works([...pruning, "--skip-bad"]);
      const run = JSON.parse(await readFile(join(out(), "prune.json"), "utf8"));
      expect(run.skipped.map((bad: { case: string }) => bad.case)).toEqual(["b", "e"]);
      expect([...run.trainingCases, ...run.validationCases].sort()).toEqual(["a", "c", "d", "f"]);
    }
    await works(["prune", "--resume", "--out", out()]);
  });

  it("with a plan and folds of its own", async () => {
    await damage();
    await works(planning("--skip-bad", "--out", join(folder, "plan.json")));
    await writeFile(
      join(folder, "splits.json"),
      JSON.stringify([
        { train: ["a", "b", "c"], val: ["d", "e"] },
        { train: ["d", "e", "f"], val: ["a", "b"] },
      ]),
    );
    const net = ["--net", "lean:2", "--steps", "2"];
    await works(["train", folder, "--out", out(), ...net, "--plan", join(folder, "plan.json"), "--skip-bad"]);
    const run = JSON.parse(await readFile(join(out(), "run.json"), "utf8"));
    expect([run.trainingCases, run.validationCases]).toEqual([["a", "c"], ["d"]]);
  });

  it("every case is bad", async () => {
    for (const id of ids) await writeFile(join(folder, `imagesTr/${id}.nii.gz`), "nothing");
    await refused(
      planning("--skip-bad"),
      /^lunet: Expected a training case in Tiny that can be used, but all 6 are bad; the first, a: /,
    );
  });
});
