import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { type RunServer, startServer } from "../src/serve/server.ts";
import type { CaseList, JobState, Listing } from "../src/serve/types.ts";
import { identityAffine } from "../src/volume/affine.ts";
import { writeVolume } from "../src/volume/files.ts";
import { readNifti } from "../src/volume/nifti.ts";
import type { Vec3 } from "../src/volume/volume.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-serve-"));
const runs = join(folder, "runs");
const page = new Map([
  ["/", { type: "text/html; charset=utf-8", bytes: new TextEncoder().encode("<!doctype html>page") }],
  ["/assets/a.js", { type: "text/javascript; charset=utf-8", bytes: new TextEncoder().encode("1") }],
]);
const options = { folder: runs, page, port: 0, host: "127.0.0.1" };
let server: RunServer;

const record = (data: string): string =>
  JSON.stringify({ version: 1, data: { path: data, name: "Phantom" }, validationCases: ["phantom_001"] });

beforeAll(async () => {
  await writePhantomDataset(join(folder, "data"), { cases: 2, test: 1, shape: [16, 16, 16] });
  for (const name of ["good", "moved", "old/.hidden", "set/imagesTr"]) mkdirSync(join(runs, name), { recursive: true });
  writeFileSync(join(runs, "good", "run.json"), record(join(folder, "data")));
  writeFileSync(join(runs, "good", "log.jsonl"), '{"step":1}\n');
  writeFileSync(join(runs, "good", "model.safetensors"), "weights");
  writeFileSync(join(runs, "good", "checkpoint.safetensors"), "weights");
  writeFileSync(join(runs, "good", "report.html"), "<script>alert(1)</script>");
  writeFileSync(join(runs, "moved", "run.json"), record(join(folder, "gone")));
  writeFileSync(join(runs, "old", ".hidden", "run.json"), "{}");
  writeFileSync(join(runs, "old", ".env.json"), "{}");
  writeFileSync(join(runs, "set", "dataset.json"), "{}");
  writeFileSync(join(folder, "secret.json"), "secret");
  symlinkSync(join(folder, "secret.json"), join(runs, "link.json"));
  symlinkSync(join(runs, "good", "checkpoint.safetensors"), join(runs, "weights.json"));
  symlinkSync(folder, join(runs, "up"));
  writeFileSync(join(runs, "huge.json"), "");
  truncateSync(join(runs, "huge.json"), 300 * 2 ** 20); // takes no place on the disk
  server = await startServer(options);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(server.url + path, init);
const errorOf = async (response: Response): Promise<string> => ((await response.json()) as { error: string }).error;

/** What the server answers to these very bytes, which fetch would tidy up. */
function raw(target: string, { method = "GET", host = new URL(server.url).host, more = "" } = {}): Promise<string> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  const hostLine = host === "" ? "" : `Host: ${host}\r\n`;
  // Not ended: a server gives up what is asked by one who hangs up.
  socket.write(`${method} ${target} HTTP/1.1\r\n${hostLine}${more}Connection: close\r\n\r\n`);
  return new Promise((done, failed) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => done(text)).on("error", failed);
  });
}
const statusOf = (answer: string): number => Number(answer.split(" ")[1]);

describe("headers", () => {
  test.each(["", "assets/a.js", "api/list", "files/good/run.json", "files/good/report.html", "nothing"])(
    "/%s is not kept, guessed, framed by others or read by them",
    async (path) => {
      const { headers } = await get(path);
      const expected = {
        "cache-control": "no-store",
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      };
      expect(Object.fromEntries(headers)).toMatchObject(expected);
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("access-control-allow-origin")).toBeNull();
    },
  );

  test("the page may run its own scripts, a report none", async () => {
    const policyOf = async (path: string): Promise<string> => (await get(path)).headers.get("content-security-policy")!;
    expect(await policyOf("")).toContain("script-src 'self'");
    expect(await policyOf("")).not.toContain("unsafe");
    const report = await policyOf("files/good/report.html");
    expect(report).toMatch(/; sandbox$/);
    expect(report).not.toContain("script-src");
  });
});

describe("what is asked", () => {
  test("only for the server's own name", async () => {
    const { port } = new URL(server.url);
    for (const host of ["evil.example", `evil.example:${port}`, `127.0.0.1.evil.example:${port}`]) {
      const answer = await raw("/api/list", { host });
      expect(statusOf(answer)).toBe(403);
      expect(answer).not.toContain("run.json");
    }
    expect(statusOf(await raw("/api/list", { host: "" }))).toBe(400);
    expect(statusOf(await raw("/api/list", { host: `localhost:${port}` }))).toBe(200);
  });

  test("with GET or HEAD", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]) {
      const answer = await get("files/good/run.json", { method });
      expect([method, answer.status, answer.headers.get("allow")]).toEqual([method, 405, "GET, HEAD"]);
    }
    expect(statusOf(await raw("/", { method: "TRACE" }))).toBe(405);
    expect((await get(`files/${"a".repeat(5000)}`)).status).toBe(414);
    const [full, head] = [await get("files/good/run.json"), await get("files/good/run.json", { method: "HEAD" })];
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe(String((await full.arrayBuffer()).byteLength));
    expect((await head.arrayBuffer()).byteLength).toBe(0);
  });

  test.each([
    ["/files/../secret.json", 400],
    ["/files/good/../../secret.json", 400],
    ["/files/%2e%2e/secret.json", 400],
    ["/files/..%2fsecret.json", 400],
    ["/files/%2e%2e%5csecret.json", 400],
    ["/files//etc/passwd", 400],
    ["/files/%2fetc%2fpasswd", 400],
    ["/files/good/run.json%00", 400],
    ["/files/old/.env.json", 400],
    ["/files/old/.hidden/run.json", 400],
    ["/files/link.json", 403],
    ["/files/up/secret.json", 403],
    ["/files/weights.json", 403],
    ["/files/good", 404],
    ["/files/", 404],
    ["/files/good/checkpoint.safetensors", 404],
    ["/files/good/model.safetensors", 404],
    ["/files/good/none.json", 404],
    ["/files/huge.json", 413],
    ["/../secret.json", 404],
    ["http://127.0.0.1/files/../secret.json", 404],
    ["/assets/../api/list", 404],
    ["/api/cases/..", 400],
    ["/api/cases/up", 403],
    ["/api/scan/..?case=phantom_001&part=0", 400],
  ])("%s is refused", async (target, status) => {
    const answer = await raw(target);
    expect(answer).not.toContain("secret\r\n");
    expect(answer.endsWith("secret")).toBe(false);
    expect(statusOf(answer)).toBe(status);
  });
});

describe("what is shown", () => {
  test("a listing without hidden files, links, data sets and weights", async () => {
    const { name, files, truncated } = (await (await get("api/list")).json()) as Listing;
    expect([name, truncated]).toEqual(["runs", false]);
    expect(files.map(({ path }) => path)).toEqual([
      "good/log.jsonl",
      "good/model.safetensors",
      "good/report.html",
      "good/run.json",
      "huge.json",
      "moved/run.json",
    ]);
  });

  test("a lock is listed while its holder lives", async () => {
    const lock = join(runs, "good", "run.lock");
    const listed = async (): Promise<boolean> =>
      ((await (await get("api/list")).json()) as Listing).files.some(({ path }) => path === "good/run.lock");
    writeFileSync(lock, JSON.stringify({ pid: process.pid, host: "elsewhere", began: null }));
    expect(await listed()).toBe(true);
    utimesSync(lock, new Date(0), new Date(0)); // silent since long ago
    expect(await listed()).toBe(false);
    rmSync(lock);
  });

  test("cases with their scans as NIfTI", async () => {
    const { cases, problem } = (await (await get("api/cases/good")).json()) as CaseList;
    expect(problem).toBeNull();
    expect(cases).toContainEqual({ id: "phantom_001", images: 1, label: true });
    for (const part of ["0", "truth"]) {
      const bytes = new Uint8Array(await (await get(`api/scan/good?case=phantom_001&part=${part}`)).arrayBuffer());
      expect((await readNifti(bytes, part)).volumes[0].shape).toEqual([16, 16, 16]);
    }
    for (const [query, status] of [
      ["case=phantom_001&part=1", 404],
      ["case=nobody&part=0", 404],
      ["case=..%2f..&part=0", 404],
      ["case=phantom_001&part=-1", 400],
      ["case=phantom_001&part=..", 400],
      ["", 400],
    ] as const) {
      expect([query, (await get(`api/scan/good?${query}`)).status]).toEqual([query, status]);
    }
  });

  test("cases of pictures are told as such, since pictures have a top", async () => {
    for (const [name, ending] of [
      ["drawn", "png"],
      ["scanned", "nii"],
    ]) {
      const [images, labels] = [join(folder, name, "images"), join(folder, name, "labels")];
      const volume = { data: new Uint8Array(6), shape: [1, 2, 3] as Vec3, affine: identityAffine() };
      for (const place of [images, labels]) await writeVolume(join(place, `a.${ending}`), volume);
      mkdirSync(join(runs, name));
      writeFileSync(
        join(runs, name, "run.json"),
        JSON.stringify({ data: { images, labels, name }, validationCases: [] }),
      );
      const { cases, pictures } = (await (await get(`api/cases/${name}`)).json()) as CaseList;
      expect([cases.length, pictures]).toEqual([1, ending === "png"]);
      rmSync(join(runs, name), { recursive: true });
    }
  });

  test("a data set that was moved is a sentence", async () => {
    const { cases, problem } = (await (await get("api/cases/moved")).json()) as CaseList;
    expect(cases).toEqual([]);
    expect(problem).toMatch(/^The data set Phantom is no longer at .*gone, so its scans cannot be shown/);
    const scan = await get("api/scan/moved?case=phantom_001&part=0");
    expect([scan.status, await errorOf(scan)]).toEqual([422, problem]);
  });
});

describe("work", () => {
  const start = (body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    get("api/job", {
      method: "POST",
      headers: { "Content-Type": "application/json", Origin: server.url.slice(0, -1), ...headers },
      body: JSON.stringify(body),
    });

  test("only the page may start it, and only in the folder", async () => {
    const order = { kind: "cases", path: "good" };
    expect((await start(order, { Origin: "https://evil.example" })).status).toBe(403);
    expect((await start(order, { Origin: "null" })).status).toBe(403);
    expect((await start(order, { "Content-Type": "text/plain" })).status).toBe(403);
    expect((await start({ kind: "cases", path: "../.." })).status).toBe(400);
    expect((await start({ kind: "cases", path: "up" })).status).toBe(403);
    expect((await start({ kind: "delete", path: "good" })).status).toBe(400);
    expect((await start({ kind: "cases", path: "a".repeat(9000) })).status).toBe(413);
    expect(await (await get("api/job")).json()).toBeNull();
  });

  test("its mistake is a sentence, and it can be stopped", async () => {
    expect((await start({ kind: "cases", path: "moved" })).status).toBe(200);
    expect((await start({ kind: "cases", path: "good" })).status).toBe(409);
    const ended = async (): Promise<JobState> => {
      for (;;) {
        const state = (await (await get("api/job")).json()) as JobState;
        if (state.state !== "running") return state;
        await new Promise((done) => setTimeout(done, 50));
      }
    };
    expect(await ended()).toMatchObject({ state: "failed", message: expect.stringContaining("model.safetensors") });
    // The process may still be closing.
    while ((await start({ kind: "report", path: "good" })).status === 409) {
      await new Promise((done) => setTimeout(done, 20));
    }
    await start({ kind: "stop" });
    expect(await ended()).toMatchObject({ kind: "report", state: "stopped" });
  });
});

describe("what cannot be served is a sentence", () => {
  const refused = (change: Partial<typeof options>): Promise<unknown> => startServer({ ...options, ...change });

  test("a port in use, an address of another machine", async () => {
    const port = Number(new URL(server.url).port);
    await expect(refused({ port })).rejects.toThrow(`Port ${port} is in use`);
    await expect(refused({ host: "192.0.2.1" })).rejects.toThrow("192.0.2.1 is no address of this machine");
  });

  test("a folder without runs, a file, nothing", async () => {
    await expect(refused({ folder: join(folder, "data") })).rejects.toThrow(
      "holds none of run.json, prune.json, cross-validation.json, study.json (it has dataset.json, imagesTr, imagesTs and 2 more)",
    );
    mkdirSync(join(folder, "empty"));
    await expect(refused({ folder: join(folder, "empty") })).rejects.toThrow("is empty");
    await expect(refused({ folder: join(folder, "secret.json") })).rejects.toThrow("is a file; give its folder");
    await expect(refused({ folder: join(folder, "none") })).rejects.toThrow("does not exist");
  });
});
