import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type DownloadOptions, type DownloadRequest, download, nameOf } from "./download.ts";
import { findSet, publicSets } from "./sets.ts";
import { tarArchive } from "./tar.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "lunet-download-"));
const archive = tarArchive(
  { path: "Task99_Test/", type: "5" },
  { path: "Task99_Test/dataset.json", data: "{}" },
  { path: "Task99_Test/imagesTr/one.nii.gz", data: new Uint8Array(300_000).fill(7) },
);
const sha256 = createHash("sha256").update(archive).digest("hex");
const md5 = createHash("md5").update(archive).digest("hex");

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
/** What the server does with the next requests; the last one stays. */
let handlers: Handler[] = [];
let requests: IncomingMessage[] = [];
const server = createServer((request, response) => {
  requests.push(request);
  (handlers.length > 1 ? handlers.shift()! : handlers[0])(request, response);
});
let url: string;
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/set.tar`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  requests = [];
});

/** Sends a file as a good server does: with Range and If-Range, `most` bytes of it before the connection is cut. */
const serve =
  (bytes: Uint8Array, { etag = '"1"', most = bytes.length, ranges = true } = {}): Handler =>
  (request, response) => {
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
    const part = ranges && from !== undefined && request.headers["if-range"] === etag;
    const start = part ? Number(from) : 0;
    if (part && start >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const range = part ? { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(part ? 206 : 200, { "content-length": bytes.length - start, etag, ...range });
    const end = Math.min(bytes.length, start + most);
    response.write(bytes.subarray(start, end), () => {
      // Late enough for what was sent to arrive: a reset connection throws away what was not read.
      if (end < bytes.length) setTimeout(() => response.destroy(), 50);
      else response.end();
    });
  };

let count = 0;
const quick = { pause: () => 1, idle: 300 };
function get(change: Partial<DownloadRequest> = {}, options: Partial<DownloadOptions> = {}) {
  const out = options.out ?? join(root, `${count++}`);
  const request = { name: "test", url, sha256, md5, ...change };
  return download(request, { ...options, out, fetch: { ...quick, ...options.fetch } });
}

test("an archive becomes a folder with a record; the second call finds it there", async () => {
  handlers = [serve(archive)];
  const out = join(root, "whole");
  const sizes: unknown[] = [];
  const first = await get({}, { out, fetch: { onSize: async (...args) => void sizes.push(args) } });
  expect(first).toMatchObject({ folder: join(out, "test"), fresh: true });
  expect(sizes).toEqual([[archive.length, 0]]);
  expect(statSync(join(out, "test/imagesTr/one.nii.gz")).size).toBe(300_000);
  const record = JSON.parse(readFileSync(join(out, "test/download.json"), "utf8"));
  expect(record).toMatchObject({ name: "test", url, bytes: archive.length, md5, sha256, files: 2 });
  expect(existsSync(join(out, ".test.download"))).toBe(false);
  expect(await get({}, { out })).toEqual({ folder: join(out, "test"), record, fresh: false });
  expect(requests.length).toBe(1);
  await expect(get({ sha256: "0".repeat(64) }, { out })).rejects.toThrow(`holds another archive (${url})`);
});

test("cut connections are continued where they ended, by Range and If-Range", async () => {
  handlers = [serve(archive, { most: 100_000 }), serve(archive, { most: 100_000 }), serve(archive)];
  const said: string[] = [];
  await get({}, { fetch: { onRetry: (sentence) => said.push(sentence) } });
  expect(requests[0].headers).toMatchObject({ "accept-encoding": "identity" });
  expect(requests.map(({ headers }) => headers["if-range"])).toEqual([undefined, '"1"', '"1"']);
  const starts = requests.map(({ headers }) => Number(/\d+/.exec(headers.range ?? "0")![0]));
  expect(starts[1]).toBeGreaterThan(0);
  expect(starts[2]).toBeGreaterThan(starts[1]);
  expect(said.length).toBe(2);
});

test("a file that changed, and a server that knows no ranges, begin anew", async () => {
  const old = new Uint8Array(archive.length).fill(1);
  for (const later of [serve(archive, { etag: '"2"' }), serve(archive, { ranges: false })]) {
    handlers = [serve(old, { most: 100_000 }), later];
    await get();
    expect(requests.at(-1)!.headers.range).toMatch(/^bytes=\d+-$/);
  }
  // A server that continues with another file all the same, and one that has less than is here.
  const liar: Handler = (_, response) =>
    response.writeHead(206, { "content-range": "bytes 5-9/10", "content-length": 5, etag: '"1"' }).end("12345");
  const less: Handler = (_, response) => response.writeHead(416, { "content-range": "bytes */3" }).end();
  for (const odd of [liar, less]) {
    handlers = [serve(archive, { most: 100_000 }), odd, serve(archive)];
    await get();
    expect(requests.at(-1)!.headers.range).toBeUndefined();
  }
});

test("without a strong ETag or a date a part is not continued", async () => {
  handlers = [serve(archive, { etag: 'W/"1"', most: 100_000 }), serve(archive, { etag: 'W/"1"' })];
  await get();
  expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, undefined]);
});

test("an aborted download leaves a part that the next call goes on from", async () => {
  const out = join(root, "aborted");
  const stopper = new AbortController();
  handlers = [
    (_, response) => {
      response.writeHead(200, { "content-length": archive.length, etag: '"1"' });
      response.write(archive.subarray(0, 100_000)); // and then nothing more
    },
  ];
  const onBytes = (have: number): void => {
    if (have === 100_000) stopper.abort();
  };
  await expect(get({}, { out, fetch: { idle: 60_000, signal: stopper.signal, onBytes } })).rejects.toThrow("abort");
  expect(statSync(join(out, ".test.download/archive.part")).size).toBe(100_000);
  expect(existsSync(join(out, "test"))).toBe(false);
  handlers = [serve(archive)];
  const sizes: unknown[] = [];
  await get({}, { out, fetch: { onSize: async (...args) => void sizes.push(args) } });
  expect(requests.at(-1)!.headers.range).toBe("bytes=100000-");
  expect(sizes).toEqual([[archive.length, 100_000]]);
});

test("a dead connection, a busy server and one that is not there are tried again, and then named", async () => {
  const silent: Handler = (_, response) => {
    response.writeHead(200, { "content-length": archive.length, etag: '"1"' });
    response.write(archive.subarray(0, 1000));
  };
  const busy: Handler = (_, response) => response.writeHead(503, { "retry-after": "0" }).end();
  const refuse: Handler = (request) => request.socket.destroy();
  handlers = [silent, busy, refuse, serve(archive)];
  const said: string[] = [];
  await get({}, { fetch: { onRetry: (sentence) => said.push(sentence) } });
  expect(said).toEqual([
    "nothing came for 1 s; trying again in 1 s.",
    "the server answers 503; trying again in 1 s.",
    expect.stringMatching(/^the server cannot be reached \(\w+\); trying again in 1 s\.$/),
  ]);
  handlers = [busy];
  requests = [];
  await expect(get({}, { fetch: { attempts: 3 } })).rejects.toThrow(
    `${url}: the server answers 503, 3 times in a row; check the connection (a proxy is used with NODE_USE_ENV_PROXY=1 and HTTPS_PROXY) and run the command again.`,
  );
  expect(requests.length).toBe(3);
  expect(readdirSync(join(root, `${count - 1}`))).toEqual([]);
});

const answer =
  (status: number, headers: Record<string, string>, body: string | Uint8Array = ""): Handler =>
  (_, response) =>
    response.writeHead(status, headers).end(body);

test.each<[string, Handler, RegExp]>([
  ["404", answer(404, {}), /the server answers 404 \(no such file\); check the address\.$/],
  [
    "a web page",
    answer(200, { "content-type": "text/html; charset=utf-8" }, "<html>"),
    /a web page; expected an archive/,
  ],
  ["packing on the way", answer(200, { "content-encoding": "gzip" }, gzipSync(archive)), /packs the file on the way/],
  ["another file", answer(200, {}, "other"), /the md5 of what came is \w{32}; expected \w{32}: .* was removed/],
])("%s is refused", async (name, handler, sentence) => {
  const out = join(root, name);
  handlers = [handler];
  await expect(get({}, { out })).rejects.toThrow(sentence);
  expect(existsSync(join(out, "test"))).toBe(false);
  handlers = [serve(archive)];
  expect((await get({}, { out })).fresh).toBe(true); // nothing is left that would stand in the way
});

test("an evil archive leaves nothing", async () => {
  const evil = tarArchive({ path: "Task/a", data: "1" }, { path: "../../evil", data: "2" });
  handlers = [serve(evil)];
  const out = join(root, "evil", "out");
  await expect(get({ sha256: undefined, md5: undefined }, { out })).rejects.toThrow("could lead out of its folder");
  expect([existsSync(join(out, "test")), existsSync(join(out, ".test.download/unpacked"))]).toEqual([false, false]);
  expect(existsSync(join(root, "evil", "evil"))).toBe(false);
  handlers = [serve(archive)]; // the server has another one now, under the same tag
  expect((await get({ sha256: sha256.toUpperCase(), md5: undefined }, { out })).fresh).toBe(true);
  expect((await get({ sha256: sha256.toUpperCase(), md5: undefined }, { out })).fresh).toBe(false);
});

test("no space, and a folder of the user's own in the way", async () => {
  handlers = [serve(archive)];
  await expect(get({}, { free: async () => 500_000 })).rejects.toThrow(
    /^The archive and what is in it take 606 kB, and the disk of .* has 500 kB free; free some space, or choose/,
  );
  const out = join(root, "mine");
  mkdirSync(join(out, "test"), { recursive: true });
  writeFileSync(join(out, "test/work.txt"), "precious");
  await expect(get({}, { out })).rejects.toThrow(`${join(out, "test")} exists and does not come from lunet download`);
  expect(readFileSync(join(out, "test/work.txt"), "utf8")).toBe("precious");
});

test("public sets by name and by task; names from addresses", () => {
  expect(findSet("hippocampus")).toBe(findSet("task04_HIPPOCAMPUS"));
  expect(findSet("Task09").name).toBe("spleen");
  expect(() => findSet("hipocampus")).toThrow("known are braintumour, heart, liver, hippocampus, prostate");
  expect(new Set(publicSets.flatMap(({ name, url: at, md5: sum }) => [name, at, sum])).size).toBe(30);
  for (const set of publicSets) expect(set.md5).toMatch(/^[\da-f]{32}$/);
  expect(nameOf("https://a.org/x/Task%2004.tar.gz?sig=1")).toBe("Task_04");
  expect(nameOf("https://a.org/100%_%ff.tar")).toBe("100___ff");
  expect(() => nameOf("https://a.org/")).toThrow("has no file name");
});

test("two calls at once do not unpack into one place", async () => {
  handlers = [serve(archive)];
  const out = join(root, "twice");
  const both = await Promise.allSettled([get({}, { out }), get({}, { out })]);
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  const { reason } = both.find((one) => one.status === "rejected")!;
  expect(reason.message).toMatch(new RegExp(`Process ${process.pid} on .* is getting .*test already; wait`));
  expect(statSync(join(out, "test/imagesTr/one.nii.gz")).size).toBe(300_000);
  expect(readdirSync(out)).toEqual(["test"]);
});

test("a server that cuts every answer and begins anew is given up, though the cuts lie further and nearer", async () => {
  const cut = (most: number) => serve(archive, { most, ranges: false });
  handlers = [150_000, 100_000, 140_000, 90_000, 130_000].map(cut);
  await expect(get({}, { fetch: { attempts: 4 } })).rejects.toThrow("4 times in a row");
  // More than 4 where a cut connection loses what was on its way, so that a later answer brings more than the first.
  expect(requests.length).toBeLessThan(12);
});
