import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readFailure, runFiles } from "./folder.ts";
import { type LocalOptions, runLocally } from "./local.ts";

let folder: string;
let said: string[];
let ended: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-local-"));
  said = [];
  ended = [];
});
afterEach(() => rm(folder, { recursive: true }));

async function makeRuns(count: number, bytes = 1): Promise<string[]> {
  const runs = Array.from({ length: count }, (_, i) => String(i + 1).padStart(4, "0"));
  for (const run of runs) {
    await mkdir(runFiles(folder, run).folder, { recursive: true });
    await writeFile(runFiles(folder, run).config, JSON.stringify({ run, need: { bytes, milliseconds: 1 } }));
  }
  return runs;
}

/** Does the runs with a little program instead of lunet; it has `run`, `dir` (the run's folder) and `fs`. */
function work(runs: string[], program: string, options: Partial<LocalOptions> = {}): Promise<void> {
  const command = (_: string, run: string): [string, ...string[]] => {
    const head = `const fs = require("node:fs"), run = "${run}", dir = ${JSON.stringify(runFiles(folder, run).folder)};
      const finish = () => { fs.writeFileSync(dir + "/result.json", "{}"); process.disconnect?.(); };
      process.on("disconnect", () => process.exit(0));`;
    return [process.execPath, "-e", `${head}${program}`];
  };
  return runLocally({
    ...{ folder, runs, processes: 2, threads: 1, command },
    say: (text) => said.push(text),
    onEnd: async ({ run }) => {
      ended.push(run);
    },
    ...options,
  });
}

/** Each run notes how many others are at work when it begins. */
const counting = `fs.writeFileSync(dir + "/busy", "");
  const others = fs.readdirSync(dir + "/..").filter((name) => fs.existsSync(dir + "/../" + name + "/busy")).length;
  fs.writeFileSync(dir + "/others", String(others));
  setTimeout(() => { fs.rmSync(dir + "/busy"); finish(); }, 250);`;
const mostAtOnce = async (runs: string[]): Promise<number> =>
  Math.max(
    ...(await Promise.all(
      runs.map(async (run) => Number(await readFile(join(runFiles(folder, run).folder, "others")))),
    )),
  );

it("does runs side by side, as many as it may", async () => {
  const runs = await makeRuns(4);
  await work(runs, counting);
  expect([...ended].sort()).toEqual(runs);
  expect(await mostAtOnce(runs)).toBe(2);
});

it("asks for the memory before it starts another", async () => {
  const runs = await makeRuns(3, 600);
  await work(runs, counting, { freeBytes: () => 1000 });
  expect([...ended].sort()).toEqual(runs);
  expect(await mostAtOnce(runs)).toBe(1);
});

it("starts a run once more whose process was killed, and gives up after that", async () => {
  const runs = await makeRuns(3);
  const program = `fs.appendFileSync(dir + "/starts", "x");
    const starts = fs.readFileSync(dir + "/starts", "utf8").length;
    if (run === "0002" && starts === 1 || run === "0003") process.kill(process.pid, "SIGKILL");
    finish();`;
  await work(runs, program);
  expect([...ended].sort()).toEqual(runs);
  expect(existsSync(runFiles(folder, "0002").result)).toBe(true);
  expect(said.filter((line) => line.includes("0002"))).toEqual([
    "the process of run 0002 ended (SIGKILL); starting it once more",
  ]);
  expect(await readFailure(folder, "0003")).toMatchObject({
    run: "0003",
    message: expect.stringMatching(/^The process of run 0003 ended 2 times without a result \(SIGKILL\);.+--retry\.$/),
  });
  expect(await readFile(join(runFiles(folder, "0003").folder, "starts"), "utf8")).toBe("xx");
});

it("goes on after a run that failed, and leaves its words alone", async () => {
  const runs = await makeRuns(3);
  const program = `if (run !== "0001") finish();
    else { fs.writeFileSync(dir + "/failure.json", '{"version":1,"run":"0001","message":"No."}'); process.exit(1); }`;
  await work(runs, program, { processes: 1 });
  expect(ended).toEqual(runs);
  expect(await readFailure(folder, "0001")).toMatchObject({ message: "No." });
  expect(said).toEqual([]);
});

it("asks its processes to stop at the signal and waits for them", async () => {
  const runs = await makeRuns(3);
  const stopper = new AbortController();
  const program = `process.on("SIGTERM", () => { fs.writeFileSync(dir + "/stopped", ""); process.exit(130); });
    fs.writeFileSync(dir + "/ready", ""); setInterval(() => {}, 1000);`;
  const going = work(runs, program, { signal: stopper.signal });
  const ready = (run: string): boolean => existsSync(join(runFiles(folder, run).folder, "ready"));
  while (!ready("0001") || !ready("0002")) await new Promise((resolve) => setTimeout(resolve, 10));
  stopper.abort();
  await going;
  expect(ended).toEqual([]);
  for (const run of ["0001", "0002"]) expect(existsSync(join(runFiles(folder, run).folder, "stopped"))).toBe(true);
  expect(ready("0003")).toBe(false);
});
