import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Lock, lockHolder, takeLock } from "./lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-lock-"));
  path = join(folder, "lock");
});
afterEach(() => rm(folder, { recursive: true }));

const forge = (holder: unknown): Promise<void> => writeFile(path, JSON.stringify(holder));

it("is held by one at a time", async () => {
  const first = await takeLock(path);
  expect(first).toHaveProperty("release");
  expect(await takeLock(path)).toMatchObject({ heldBy: { pid: process.pid, host: hostname() } });
  (first as Lock).release();
  expect(lockHolder(path)).toBe(null);
  const again = await takeLock(path);
  expect(again).toHaveProperty("release");
  (again as Lock).release();
  expect(await readdir(folder)).toEqual([]);
});

it("is taken over from a process that is gone, by one of many that try at the same moment", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  await forge({ pid: child.pid, host: hostname(), began: null });
  expect(lockHolder(path)).toMatchObject({ pid: child.pid });
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(lockHolder(path)).toBe(null);

  const module = new URL("./lock.ts", import.meta.url).href;
  const moment = Date.now() + 700;
  const script = `const { takeLock } = await import(${JSON.stringify(module)});
    while (Date.now() < ${moment});
    console.log(Object.keys(await takeLock(${JSON.stringify(path)}))[0]);
    setTimeout(() => {}, 60_000);`;
  // Each stays alive until all have answered, so that no lock dies in between.
  const racers = Array.from({ length: 5 }, () => spawn(process.execPath, ["--input-type=module", "-e", script]));
  const answers = await Promise.all(racers.map(({ stdout }) => once(stdout, "data") as Promise<[Buffer]>));
  for (const racer of racers) racer.kill("SIGKILL");
  const said = answers.map(([text]) => text.toString().trim());
  expect(said.sort()).toEqual(["heldBy", "heldBy", "heldBy", "heldBy", "release"]);
  // Inside one process just the same.
  await forge({ pid: child.pid, host: hostname(), began: null });
  const taken = await Promise.all([1, 2, 3, 4].map(() => takeLock(path)));
  const locks = taken.filter((lock) => "release" in lock);
  expect(locks).toHaveLength(1);
  locks[0].release();
});

// Linux tells when a process began; elsewhere a number that came back cannot be told apart.
it.skipIf(process.platform !== "linux")("is not held by another process that got the same number", async () => {
  await forge({ pid: process.pid, host: hostname(), began: "1" });
  expect(lockHolder(path)).toBe(null);
});

it("of another machine counts while it is touched", async () => {
  await forge({ pid: 1, host: "elsewhere", began: null });
  expect(lockHolder(path)).toMatchObject({ host: "elsewhere" });
  const old = new Date(Date.now() - 125_000);
  await utimes(path, old, old);
  expect(lockHolder(path)).toBe(null);
});

it("that is just being written counts, a broken old one does not", async () => {
  await writeFile(path, "");
  expect(lockHolder(path)).not.toBe(null);
  const old = new Date(Date.now() - 6000);
  await utimes(path, old, old);
  const lock = await takeLock(path);
  expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  (lock as Lock).release();
});
