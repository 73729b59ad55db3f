import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tarArchive } from "../download/tar.fixture.ts";
import { lunet } from "./testing.ts";

const root = mkdtempSync(join(tmpdir(), "lunet-cli-download-"));
const archive = tarArchive(
  { path: "Task99_Test/dataset.json", data: "{}" },
  { path: "Task99_Test/imagesTr/a.nii.gz", data: new Uint8Array(100_000) },
);
const sum = (kind: string): string => createHash(kind).update(archive).digest("hex");

/** Sends the first half of an archive called slow.tar and then nothing, the first time. */
let slow = 0;
const ranges: (string | undefined)[] = [];
const server = createServer(({ url, headers }, response) => {
  const half = archive.length / 2;
  const from = headers.range ? half : 0;
  ranges.push(headers.range);
  const range = { "content-range": `bytes ${from}-${archive.length - 1}/${archive.length}` };
  response.writeHead(from ? 206 : 200, {
    etag: '"a"',
    "content-length": archive.length - from,
    ...(from ? range : {}),
  });
  if (url === "/slow.tar" && slow++ === 0) response.write(archive.subarray(0, half));
  else response.end(archive.subarray(from));
});
let base: string;
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true });
});

test("the list tells names, licences and what there is", async () => {
  const { code, stdout } = await lunet("download", "--list");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^hippocampus +CC BY-SA 4\.0 +Medical .* 260 labelled scans +28\.4 MB$/m);
  const json = JSON.parse((await lunet("download", "--list", "--json")).stdout);
  expect(json.map(({ name }: { name: string }) => name)).toContain("spleen");
});

test("licence, source and size come first, then the data, then what to do next", async () => {
  const out = join(root, "a");
  const url = `${base}/some-set.tar.gz`;
  const first = await lunet("download", "--url", url, "--sha256", sum("sha256"), "--out", out);
  const folder = join(out, "some-set");
  expect([first.code, first.stderr]).toEqual([
    0,
    `some-set: ${url}\nLicence: lunet does not know it; look where the archive is published.\nSize: 103 kB\nChecking ...\nUnpacking ...\n`,
  ]);
  expect(first.stdout).toBe(
    `${folder}: 2 files from 103 kB, sha256 as expected.\nmd5 ${sum("md5")}\nsha256 ${sum("sha256")}\nNext:\n  npx lunet plan ${folder}\n` +
      `  npx lunet train ${folder} --net lean:8 --minutes 10 --out runs/some-set\n`,
  );
  const again = await lunet("download", "--url", url, "--out", out);
  expect([again.code, again.stdout]).toEqual([
    0,
    expect.stringContaining("is already there: 2 files from 103 kB, got on 20"),
  ]);
  expect(again.stderr).toContain("No --sha256 is given");
  const json = await lunet("download", "--url", url, "--out", out, "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ folder, fresh: false, url, sha256: sum("sha256") });
});

test("a mirror of a public set must hold the set's archive", async () => {
  const { code, stderr } = await lunet("download", "hippocampus", "--url", `${base}/x.tar`, "--out", join(root, "m"));
  expect(code).toBe(1);
  expect(stderr).toMatch(/^Licence: CC BY-SA 4\.0, https:.*\nCite: Antonelli .*\nSource: http:.*\(about 28\.4 MB\)$/m);
  expect(stderr).toMatch(
    new RegExp(`the md5 of what came is ${sum("md5")}; expected 9d24dba78a72977dbd1d2e110310f31b:`),
  );
});

test.each([
  [[], "Expected the name of a public set; lunet download --list shows them."],
  [["livr"], "Expected the name of a public set and got livr; known are braintumour, heart, liver"],
  [["--url", "set.tar"], "Expected an address that begins with https:// (or http://) after --url and got set.tar."],
  [["--url", "file:///etc/passwd"], "Expected an address that begins with https://"],
  [["../up", "--url", "http://a.org/b.tar"], "Expected a name of letters, digits, dots and hyphens and got ../up."],
  [["heart", "--sha256", "12"], "Expected 64 hexadecimal digits after --sha256 and got 12."],
])("%j is refused", async (args, sentence) => {
  const { code, stderr } = await lunet("download", ...args);
  expect([code, stderr]).toEqual([1, expect.stringContaining(sentence)]);
});

test("Ctrl-C leaves a part, and the same command goes on from it", async () => {
  const out = join(root, "slow");
  const bin = fileURLToPath(new URL("../../bin/lunet.mjs", import.meta.url));
  const args = ["download", "--url", `${base}/slow.tar`, "--out", out];
  const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (part) => {
    said += part;
  });
  const part = join(out, ".slow.download/archive.part");
  while (!existsSync(part) || statSync(part).size < archive.length / 2)
    await new Promise((next) => setTimeout(next, 20));
  child.kill("SIGINT");
  const code = await new Promise((done) => child.on("exit", done));
  expect([code, said]).toEqual([
    130,
    expect.stringContaining("Stopped at 51.5 kB of 103 kB; the same command goes on"),
  ]);
  const { code: second, stderr } = await lunet(...args);
  expect([second, stderr]).toEqual([0, expect.stringContaining("Size: 103 kB, 51.5 kB of it here already")]);
  expect(ranges.at(-1)).toBe(`bytes=${archive.length / 2}-`);
  expect(readFileSync(join(out, "slow/dataset.json"), "utf8")).toBe("{}");
});
