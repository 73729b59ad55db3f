import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { insideFolder, pathParts } from "./inside.ts";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "lunet-inside-")));
const root = join(folder, "shown");
mkdirSync(join(root, "a"), { recursive: true });
writeFileSync(join(root, "a", "b.json"), "{}");
writeFileSync(join(folder, "secret.json"), "{}");
mkdirSync(join(folder, "shown-too"));
symlinkSync(join(folder, "secret.json"), join(root, "link.json"));
symlinkSync(folder, join(root, "up"));
symlinkSync(join(folder, "shown-too"), join(root, "beside"));
symlinkSync(join(root, "a"), join(root, "within"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  "..",
  "../secret.json",
  "a/../../secret.json",
  "%2e%2e/secret.json",
  "..%2fsecret.json",
  "%2e%2e%2fsecret.json",
  "..%5csecret.json",
  "a//b.json",
  "/etc/passwd",
  "%2fetc%2fpasswd",
  "a/b.json%00.png",
  ".hidden",
  "a/.ssh",
  "%",
  "%c0%ae%c0%ae/secret.json",
  "./a",
  "a/",
])("%s is no address of a file", (path) => {
  expect(() => pathParts(path)).toThrow(expect.objectContaining({ status: 400 }));
});

test("whatever is accepted stays in the folder", () => {
  const piece = fc.oneof(
    fc.constantFrom("..", ".", "%2e", "%2E%2e", "%2f", "/", "\\", "%5c", "%00", "%25", "a", "b.json", "C:", "~", "%"),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      let parts: string[];
      try {
        parts = pathParts(pieces.join(""));
      } catch {
        return;
      }
      const path = resolve(root, ...parts.map((part) => `.${sep}${part}`));
      expect(path === root || path.startsWith(root + sep)).toBe(true);
      expect(path.split(sep)).not.toContain("..");
    }),
    { numRuns: 2000 },
  );
});

test("names that look odd but are names are kept", () => {
  expect(pathParts("")).toEqual([]);
  expect(pathParts("run%201/lean%3A8/%C3%A9.json")).toEqual(["run 1", "lean:8", "é.json"]);
  expect(pathParts("%252e%252e")).toEqual(["%2e%2e"]); // decoded once
});

test("links may lead about in the folder but not out of it", async () => {
  expect(await insideFolder(root, ["within", "b.json"])).toBe(join(root, "a", "b.json"));
  expect(await insideFolder(root, [])).toBe(root);
  for (const parts of [["link.json"], ["up", "secret.json"], ["up"], ["beside"]]) {
    await expect(insideFolder(root, parts)).rejects.toMatchObject({ status: 403 });
  }
  await expect(insideFolder(root, ["nothing"])).rejects.toMatchObject({ status: 404 });
});
