import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { UserError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { type Piece, paxHeader, tarArchive, tarEntry } from "./tar.fixture.ts";
import { readTar } from "./tar.ts";
import { type UnpackLimits, unpackArchive } from "./unpack.ts";

const root = mkdtempSync(join(tmpdir(), "lunet-unpack-"));
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
/** Unpacks into a new folder in a folder of its own, so that anything beside it shows. */
async function unpack(archive: Uint8Array, limits?: Partial<UnpackLimits>) {
  const place = join(root, `${count++}`);
  const folder = join(place, "in", "data");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(place, "archive"), archive);
  const result = await unpackArchive(join(place, "archive"), folder, { name: "set.tar", limits });
  return { ...result, folder, files: filesOf(folder) };
}
const filesOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [
        join(entry.parentPath, entry.name).slice(folder.length + 1),
        readFileSync(join(entry.parentPath, entry.name), "utf8"),
      ])
      .sort(),
  );

test("files and folders, plain and gzip; what macOS adds is left out", async () => {
  const pieces: Piece[] = [
    { path: "Task/", type: "5" },
    { path: "./Task/a.txt", data: "A".repeat(700) },
    { path: "Task/._a.txt", data: "junk" },
    { path: "Task/empty" },
    { path: "Task/deep/er/b", data: "B", type: "\0" },
  ];
  for (const archive of [tarArchive(...pieces), gzipSync(tarArchive(...pieces))]) {
    const { files, bytes, leftOut } = await unpack(archive);
    expect(files).toEqual({ "Task/a.txt": "A".repeat(700), "Task/deep/er/b": "B", "Task/empty": "" });
    expect([bytes, leftOut]).toEqual([701, 1]);
  }
});

const long = `Task/${"long-name-".repeat(14)}/${"x".repeat(120)}.nii.gz`;

test("names of more than 100 bytes: ustar's prefix, pax, GNU; sizes in pax and in base 256", async () => {
  const prefixed = tarEntry({ path: "b", data: "P" });
  prefixed.set(new TextEncoder().encode("Task/prefix"), 345);
  prefixed.set(new TextEncoder().encode("        "), 148);
  const sum = prefixed.subarray(0, 512).reduce((a, b) => a + b, 0);
  prefixed.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  const binary = new Uint8Array(12);
  binary.set([0x80], 0);
  binary[11] = 2;
  const archive = Buffer.concat([
    prefixed,
    tarEntry(paxHeader({ path: long, comment: "ä\nnew line", size: "3" })),
    tarEntry({ path: "cut", data: "pax", size: 0 }).subarray(0, 1024),
    tarEntry({ path: "././@LongLink", type: "L", data: `${long}2\0` }),
    tarEntry({ path: "cut", data: "G" }),
    tarEntry({ path: "binary", data: "22", size: binary }),
    new Uint8Array(512),
  ]);
  expect((await unpack(archive)).files).toEqual({
    "Task/prefix/b": "P",
    [long]: "pax",
    [`${long}2`]: "G",
    binary: "22",
  });
});

const gnuTar = spawnSync("tar", ["--version"], { encoding: "utf8" });

test.skipIf(!gnuTar.stdout?.includes("GNU tar"))("what GNU tar writes in three formats", async () => {
  const source = join(root, "source");
  const name = `${"folder-".repeat(10)}/${"y".repeat(90)}`;
  mkdirSync(join(source, "set", name, ".."), { recursive: true });
  writeFileSync(join(source, "set", name), "long");
  writeFileSync(join(source, "set", "umlaut-ä"), "short");
  for (const format of ["ustar", "pax", "gnu"]) {
    for (const packing of ["", "z"]) {
      const done = spawnSync("tar", [`-c${packing}f`, "-", `--format=${format}`, "-C", source, "set"]);
      expect(done.status).toBe(0);
      const { files } = await unpack(done.stdout);
      expect(files).toEqual({ [`set/${name}`]: "long", "set/umlaut-ä": "short" });
    }
  }
});

describe("what could harm is refused, and nothing is written outside", () => {
  const good: Piece = { path: "Task/good", data: "1" };
  const huge = new Uint8Array(12).fill(255);
  huge[0] = 0x80;
  test.each<[string, Uint8Array, RegExp]>([
    [
      "..",
      tarArchive(good, { path: "Task/../../evil", data: "x" }),
      /holds "Task\/..\/..\/evil", a path that could lead out/,
    ],
    ["absolute", tarArchive({ path: `${root}/evil`, data: "x" }), /could lead out/],
    ["backslash", tarArchive({ path: "..\\evil", data: "x" }), /could lead out/],
    ["drive", tarArchive({ path: "C:evil", data: "x" }), /could lead out/],
    ["pax path", tarArchive(paxHeader({ path: "../evil" }), good), /holds "..\/evil"/],
    ["global pax path", tarArchive({ ...paxHeader({ path: "../evil" }), type: "g" }, good), /could lead out/],
    ["GNU path", tarArchive({ path: "L", type: "L", data: "../evil" }, good), /could lead out/],
    [
      "symbolic link",
      tarArchive({ path: "in", type: "2", link: "/" }, { path: "in/evil", data: "x" }),
      /"in" is a symbolic link; expected/,
    ],
    ["hard link", tarArchive({ path: "in", type: "1", link: "/etc/passwd" }), /is a hard link/],
    ["character device", tarArchive({ path: "null", type: "3" }), /is a character device/],
    ["block device", tarArchive({ path: "disk", type: "4" }), /is a block device/],
    ["pipe", tarArchive({ path: "pipe", type: "6" }), /is a named pipe/],
    ["sparse", tarArchive(paxHeader({ "GNU.sparse.major": "1" }), good), /is a sparse file/],
    ["unknown type", tarArchive({ path: "odd", type: "V" }), /is an entry of type "V"/],
    ["twice", tarArchive(good, good), /is twice in the archive/],
    ["file as folder", tarArchive(good, { path: "Task/good/in", data: "x" }), /a file, not a folder|is not a folder/],
    ["huge size", tarArchive({ path: "huge", size: huge }), /a file of .* bytes; the archive is damaged/],
    ["large size", tarArchive({ path: "large", size: 8 ** 11 - 1 }), /cut short within "large"/],
    ["large pax size", tarArchive(paxHeader({ size: "99999999999999" }), good), /would take 99999999999999 bytes/],
    ["bad pax size", tarArchive(paxHeader({ size: "-1" }), good), /"-1" is no size/],
    ["bad pax", tarArchive({ path: "pax", type: "x", data: "99 path=a\n" }, good), /pax record at byte 0/],
    ["huge name", tarArchive({ path: "L", type: "L", size: 2 ** 30 }, good), /1073741824 bytes for a name/],
    ["cut file", tarArchive({ path: "a", data: "A".repeat(600) }).subarray(0, 700), /cut short within "a"/],
    ["cut header", tarArchive(good).subarray(0, 300), /cut short, its end mark is missing/],
    ["cut after entry", tarArchive(good).subarray(0, 1024), /its end mark is missing/],
    ["checksum", tarArchive(good).fill(65, 0, 1), /checksum of a header is wrong/],
    ["other file", new Uint8Array(2000).fill(7), /not a tar archive/],
    ["cut gzip", gzipSync(tarArchive(good)).subarray(0, 60), /gzip packing is cut short or damaged/],
    ["zip", Uint8Array.of(0x50, 0x4b, 3, 4, 5, 6), /a zip archive; expected tar/],
  ])("%s", async (_name, archive, sentence) => {
    const place = join(root, `${count}`);
    const error = await unpack(archive).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(sentence);
    expect((error as Error).message).toMatch(/^(set\.tar: |\/).{10,}\.$/s);
    expect(readdirSync(place).sort()).toEqual(["archive", "in"]);
    expect(readdirSync(join(place, "in"))).toEqual(["data"]);
    expect(readdirSync(root)).not.toContain("evil");
  });
  test("too many files, too large a file, too much in all", async () => {
    const archive = tarArchive({ path: "a", data: "12" }, { path: "b", data: "34" });
    await expect(unpack(archive, { files: 1 })).rejects.toThrow("set.tar: more than 1 files");
    await expect(unpack(archive, { fileBytes: 1 })).rejects.toThrow(
      "set.tar: a would take 2 bytes; expected at most 1",
    );
    await expect(unpack(archive, { bytes: 3 })).rejects.toThrow("set.tar: more than 3 unpacked bytes");
    // A gzip bomb is as large as its entries say, and these are limited.
    const bomb = gzipSync(tarArchive({ path: "zeros", data: new Uint8Array(1 << 24) }));
    await expect(unpack(bomb, { bytes: 1 << 20 })).rejects.toThrow("more than 1048576 unpacked bytes");
  });
});

test("2,000 mutated archives: each is read or refused in a sentence", async () => {
  const r = random(40);
  const seed = Buffer.concat([
    tarEntry({ path: "Task/", type: "5" }),
    tarEntry(paxHeader({ path: long })),
    tarEntry({ path: "a", data: "A".repeat(600) }),
    tarEntry({ path: "L", type: "L", data: long }),
    tarEntry({ path: "b", data: "B" }),
    new Uint8Array(1024),
  ]);
  const tally = { read: 0, refused: 0 };
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from(seed);
    for (let times = 1 + r.int(3); times > 0; times--) {
      const at = r.int(bytes.length);
      if (r.int(2)) bytes[at] ^= 1 << r.int(8);
      else bytes.copyWithin(at, r.int(bytes.length), Math.min(bytes.length, at + 8));
    }
    // Half of them with checksums that are right, so that the rest of the header is looked at.
    for (let at = 0; at + 512 <= bytes.length && i % 2; at += 512) {
      const block = bytes.subarray(at, at + 512);
      if (block[257] !== 117) continue;
      block.fill(32, 148, 156);
      const sum = block.reduce((a, b) => a + b, 0);
      block.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0`), 148);
    }
    try {
      await readTar(
        (async function* () {
          yield bytes.subarray(0, i % 1000);
          yield bytes.subarray(i % 1000);
        })(),
        "set.tar",
        async () => {},
      );
      tally.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`${i}: ${error}`, { cause: error });
      expect(error.message).toMatch(/^set\.tar: .{10,400}\.$/s);
      tally.refused++;
    }
  }
  expect(Math.min(tally.read, tally.refused)).toBeGreaterThan(200);
});
