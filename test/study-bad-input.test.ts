import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { lunet } from "../src/cli/testing.ts";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";

let folder: string;
let data: string;
let file: string;
let out: string;
const arms = "arms: [{net: lean:2}, {net: unet:2, training-cases: 1}]";
const head = (): string => `name: bad\ndata: ${data}\nsplit: 3\nlevels: 2\n`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-study-bad-"));
  data = join(folder, "data");
  file = join(folder, "study.yaml");
  out = join(folder, "out");
  await writePhantomDataset(data, { cases: 3, test: 1, shape: [16, 24, 16] });
});
afterAll(() => rm(folder, { recursive: true }));

beforeEach(() => rm(out, { recursive: true, force: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

/** `lunet study ...` must end with exit code 1 and nothing but this sentence. */
async function refused(args: string[], sentence: string | RegExp): Promise<void> {
  const { code, stderr } = await lunet("study", ...args);
  expect(code, stderr).toBe(1);
  if (typeof sentence === "string") expect(stderr).toBe(`lunet: ${sentence}\n`);
  else expect(stderr).toMatch(sentence);
}

describe("a study file", () => {
  it.each([
    [
      () => `${head()}arms: [{net: leen:2}]`,
      /^lunet: Arm 1 of the study: Expected a net such as lean:8 .+ did you mean lean:2\?\n$/,
    ],
    [
      () => `${head()}arms: [{net: unet:2}, {net: lean, equal-to: unet:3}]`,
      'Arm 2 of the study: expected equal-to to name another arm with a width of its own, but got "unet:3"; did you mean "unet:2"?',
    ],
    [
      () => `${head()}arms: [{net: lean:1}, {net: lean, equal-to: lean:1, bottleneck: 9}]`,
      /^lunet: Arm 2 of the study: no lean net has about as many parameters as lean:1 .+: choose another pair\.\n$/,
    ],
    [
      () =>
        `${head().replace("levels: 2", "levels: 3")}settings: {deep-supervision: true}\n${arms.replace("]", ", {prune: unet:2, pick: stamp}]")}`,
      /^lunet: .+: Expected pruning to train on the labels alone, but got deep supervision; .*\n$/,
    ],
    [() => `${head()}folds: [3]\n${arms}`, "Expected folds from 0 to 2 in the study, but got 3."],
    [
      () => `${head()}${arms.replace("1}", "2}")}`,
      "Expected training-cases of at most 1, which fold 0 has, but got 2.",
    ],
    [
      () => `${head()}settings: {patch: 15x24x16}\n${arms}`,
      "Expected --patch to be a multiple of 2 along D (the product of the net's pools), but got 15; use 16.",
    ],
    [
      () => `${head()}mirror: X\n${arms}`,
      'Expected the study\'s mirror to be none or axes among D, H, W, such as D,H,W, but got "X".',
    ],
  ])("%s", async (text, sentence) => {
    await writeFile(file, text());
    await refused([file, "--out", out], sentence);
    await refused([file, "--dry-run"], sentence);
  });

  it("with a typo", async () => {
    await writeFile(file, `${head()}sttings: {lr: 0.1}\n${arms}`);
    await refused([file, "--out", out], `${file}, line 5: unknown key "sttings"; did you mean "settings"?`);
  });

  it("that is not there, or no file at all", async () => {
    const none = join(folder, "none.yaml");
    await refused([none], `${none} does not exist; check the path.`);
    await refused(["papr"], 'Expected a study: paper, or a file that ends in .yaml, but got "papr".');
  });
});

it("a scale that does not exist, and one for a file", async () => {
  await refused(
    ["paper", "--scale", "smal"],
    'Unknown --scale "smal": expected tiny, small, full; did you mean small?',
  );
  await writeFile(file, `${head()}${arms}`);
  await refused(
    [file, "--scale", "tiny"],
    "Expected --scale with the ready study paper only; a file states its own budgets.",
  );
});

it("an addition that does not exist, and one for a file", async () => {
  await refused(["paper", "--with", "recipe"], 'Unknown --with "recipe": expected paper-recipe.');
  await writeFile(file, `${head()}${arms}`);
  await refused(
    [file, "--with", "paper-recipe"],
    "Expected --with with the ready study paper only; a file lists its own arms.",
  );
});

it("the ready study without data", async () => {
  await refused(["paper", "--out", out], /^lunet: Expected a data set, but no path was given/);
});

it("a folder that is no study", async () => {
  await mkdir(out);
  const sentence = `Expected a study in ${out}, but there is no study.json; check the path, or start one with lunet study NAME --out ${out}.`;
  for (const command of ["status", "report"]) await refused([command, out], sentence);
  await refused(["run", out, "1"], sentence);
});

describe("a study without Slurm", () => {
  it("is handed to no sbatch that is not there", async () => {
    await writeFile(file, `${head()}${arms}`);
    vi.stubEnv("PATH", folder);
    await refused(
      [file, "--out", out, "--executor", "slurm"],
      "Expected Slurm's command sbatch on this machine, but it is not there; start the study on a machine of the cluster, or leave " +
        "out --executor slurm.",
    );
    // Everything is prepared and can be done here instead.
    expect(await readFile(join(out, "slurm", "array.sh"), "utf8")).toContain("#SBATCH --array=1-6%8\n");
  });

  it("is refused where its folder holds another study, or is in use", async () => {
    await writeFile(file, `${head()}${arms}`);
    vi.stubEnv("PATH", folder);
    await lunet("study", file, "--out", out, "--executor", "slurm");
    await writeFile(file, `${head()}steps: 5\n${arms}`);
    await refused(
      [file, "--out", out],
      `${out} holds another study than asked for now (it differs in steps); choose another --out, or ask for the same to go on.`,
    );
    // The same data by another path are the same study.
    await symlink(data, join(folder, "link"));
    await writeFile(file, `${head().replace(data, join(folder, "link"))}${arms}`);
    await refused([file, "--out", out, "--executor", "slurm"], /^lunet: Expected Slurm's command sbatch/);
    // A folder that has lost its study.json is not taken for a new one.
    await mkdir(join(folder, "lost", "runs", "0001"), { recursive: true });
    await writeFile(join(folder, "lost", "runs", "0001", "result.json"), "{}");
    await refused(
      [file, "--out", join(folder, "lost")],
      `Expected ${join(folder, "lost")} to be empty or a study, but it holds runs without a study.json; choose another --out.`,
    );
    await refused(["run", out, "7"], "Expected the number of a run from 1 to 6, but got 7.");
    const holder = { pid: process.pid, host: hostname(), began: null };
    await writeFile(join(out, "runs", "0001", "run.lock"), JSON.stringify(holder));
    await refused(
      ["run", out, "1"],
      `Run 0001 of the study in ${out} is being done by process ${process.pid} on ${hostname()}; wait for it to end.`,
    );
  });
});

it("a report without the packages that draw says in one line how to get its figures", async () => {
  await mkdir(join(out, "runs"), { recursive: true });
  const study = {
    version: 1,
    name: "n",
    data: "d",
    scale: "own",
    arms: [],
    folds: [0],
    seeds: [0],
    budgets: {},
    lunet: "1",
    runs: 0,
  };
  await writeFile(join(out, "study.json"), JSON.stringify(study));
  const renderer = "../src/study/figures-render.ts";
  vi.doMock(renderer, async (load) => {
    const real = await load<typeof import("../src/study/figures-render.ts")>();
    const absent = () => Promise.reject(new Error("Cannot find package 'vega'"));
    return { ...real, drawFigures: (figures: []) => real.drawFigures(figures, { load: absent }) };
  });
  const { code, stdout, stderr } = await lunet("study", "report", out);
  vi.doUnmock(renderer);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^Open the report: file:.+report\.html\n$/)]);
  expect(stderr).toMatch(/^The report has no figures, .+ "npm install vega vega-lite" and write the report again\.\n$/);
});
