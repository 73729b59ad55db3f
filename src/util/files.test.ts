import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UserError } from "./errors.ts";
import { explainFileError, readJson, removeLeftovers, writeFileAtomic } from "./files.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lunet-files-"));
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

/** The system's own ENOSPC: half the bytes go to the file, the rest to a device that is always full. */
async function writeToFullDisk(file: { writeFile(data: Uint8Array | string): Promise<void> }): Promise<void> {
  await file.writeFile("half");
  const full = await open("/dev/full", "w");
  try {
    await full.writeFile("the rest");
  } finally {
    await full.close();
  }
}

describe("writeFileAtomic", () => {
  it("writes bytes and text, replaces a file, makes folders and leaves no temporary file", async () => {
    const path = join(folder, "a", "b.txt");
    await writeFileAtomic(path, "first");
    await writeFileAtomic(path, Uint8Array.of(104, 105));
    expect(readFileSync(path, "utf8")).toBe("hi");
    expect(readdirSync(join(folder, "a"))).toEqual(["b.txt"]);
  });

  it.skipIf(!existsSync("/dev/full"))("keeps the old file when the disk fills up, and says so", async () => {
    const path = join(folder, "kept.txt");
    await writeFileAtomic(path, "old");
    const failed = writeFileAtomic(path, "new", { write: writeToFullDisk });
    await expect(failed).rejects.toThrow(UserError);
    await expect(failed).rejects.toThrow(`The disk is full: ${path}`);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["kept.txt"]);
  });

  it("passes on an error that is no fault of the file system, and cleans up", async () => {
    const failing = async (): Promise<void> => {
      throw new RangeError("broken serialiser");
    };
    await expect(writeFileAtomic(join(folder, "x"), "x", { write: failing })).rejects.toThrow(RangeError);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("finds what a kill left of its own files, and nothing else", async () => {
    for (const name of [
      "a.json",
      ".a.json.0123abcd.tmp",
      ".b.json.0123abcd.tmp",
      ".a.json.tmp",
      "a.json.0123abcd.tmp",
    ]) {
      writeFileSync(join(folder, name), "");
    }
    await removeLeftovers([join(folder, "a.json")]);
    expect(readdirSync(folder).sort()).toEqual([
      ".a.json.tmp",
      ".b.json.0123abcd.tmp",
      "a.json",
      "a.json.0123abcd.tmp",
    ]);
  });

  it("names a file that stands where a folder is needed", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(writeFileAtomic(join(folder, "file", "x"), "x")).rejects.toThrow(
      /exists and is not a folder|is a file/,
    );
  });

  it("cleans up when the target is a folder", async () => {
    mkdirSync(join(folder, "target"));
    await expect(writeFileAtomic(join(folder, "target"), "x")).rejects.toThrow(/is a folder where a file/);
    expect(readdirSync(folder)).toEqual(["target"]);
  });

  // root may write anywhere, so it writes as another user here; Windows knows no such users
  it.skipIf(!process.seteuid)("says when there is no permission", async () => {
    const root = process.geteuid?.() === 0;
    chmodSync(folder, 0o500);
    const path = join(folder, "x");
    if (root) process.seteuid?.(65534);
    try {
      await expect(writeFileAtomic(path, "x")).rejects.toThrow(
        new UserError(`No permission for ${path}; choose another place or change its permissions.`),
      );
    } finally {
      if (root) process.seteuid?.(0);
    }
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("readJson", () => {
  it("reads a value", async () => {
    writeFileSync(join(folder, "a.json"), '{"a":[1,2]}');
    expect(await readJson(join(folder, "a.json"))).toEqual({ a: [1, 2] });
  });

  it("names the file that is missing or broken", async () => {
    await expect(readJson(join(folder, "none.json"))).rejects.toThrow(/none\.json does not exist/);
    writeFileSync(join(folder, "bad.json"), '{"a":');
    const bad = readJson(join(folder, "bad.json"));
    await expect(bad).rejects.toThrow(UserError);
    await expect(bad).rejects.toThrow(/bad\.json should be JSON but is not/);
  });
});

describe("explainFileError", () => {
  it("makes a sentence of each known code and leaves other errors alone", () => {
    for (const code of [
      "ENOENT",
      "ENOTDIR",
      "EISDIR",
      "EEXIST",
      "EACCES",
      "EPERM",
      "EROFS",
      "ENOSPC",
      "EDQUOT",
      "EFBIG",
      "EIO",
    ]) {
      const error = Object.assign(new Error("raw"), { code, path: "/p/q" });
      expect(explainFileError(error)).toBeInstanceOf(UserError);
      expect(explainFileError(error)?.message).toMatch(/\/p\/q.*\.$/);
    }
    expect(explainFileError(new Error("plain"))).toBeUndefined();
    expect(explainFileError(Object.assign(new Error("odd"), { code: "ECONNRESET" }))).toBeUndefined();
  });
});
