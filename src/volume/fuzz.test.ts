import { crc32, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { UserError } from "../util/errors.ts";
import { type Random, random } from "../util/random.ts";
import { readAnalyze } from "./analyze.ts";
import { readMeta, writeMeta } from "./meta.ts";
import { smallScan } from "./nifti.fixture.ts";
import { readNifti, writeNifti } from "./nifti.ts";
import { readNrrd, writeNrrd } from "./nrrd.ts";
import { itkMhaVector, itkMhaZlib, itkNrrdGzip, itkNrrdVector } from "./others.fixture.ts";
import { decodePng, decodePngChannels, readPngHeader } from "./png.ts";
import { parseSpacing, stackPictures } from "./stack.ts";
import type { Vec3 } from "./volume.ts";

/** Mutated sizes may ask for much: no more than this is given. */
const limit = { maxBytes: 2 ** 24 };
const affine = Float64Array.of(2, 0, 0, 1, 0, 3, 0, 2, 0, 0, 4, 3, 0, 0, 0, 1);
const scan = { data: Uint8Array.from({ length: 60 }, (_, i) => i % 7), shape: [3, 4, 5] as Vec3, affine };

/** Changes 1 to 4 places: a bit, a byte, a run of bytes, or the length. */
function mutate(bytes: Uint8Array, r: Random, head: number): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let times = 1 + r.int(4); times > 0; times--) {
    // Half of the changes fall into the header, where they do most.
    const at = r.int(r.int(2) ? Math.min(head, out.length) : out.length);
    const kind = r.int(6);
    if (kind === 0) out[at] ^= 1 << r.int(8);
    else if (kind === 1) out[at] = r.int(256);
    else if (kind === 2)
      out[at] = 48 + r.int(10); // a digit: other sizes in text headers
    else if (kind === 3) out = out.slice(0, Math.max(1, at));
    else if (kind === 4) out.copyWithin(at, r.int(out.length), Math.min(out.length, at + 16));
    else out = new Uint8Array([...out.subarray(0, at), ...out.subarray(at, at + 12), ...out.subarray(at)]);
  }
  return out;
}

/** Reads each of `count` files, or sees it refused in a sentence; how many of each. */
async function tryAll(count: number, make: (i: number) => Uint8Array, read: (bytes: Uint8Array) => unknown) {
  const tally = { read: 0, refused: 0 };
  const before = process.memoryUsage().rss;
  const tryOne = async (i: number): Promise<void> => {
    try {
      await read(make(i));
      tally.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`${i}: ${error}`, { cause: error });
      expect(error.message).toMatch(/^scan(\.hdr)?: .{10,300}[.)]$/s);
      tally.refused++;
    }
  };
  // Several at a time: unpacking changes threads for every file, which takes long on a machine that is busy.
  for (let i = 0; i < count; i += 20) {
    await Promise.all(Array.from({ length: Math.min(20, count - i) }, (_, k) => tryOne(i + k)));
  }
  // One file may take the 16 MiB of the limit; thousands of them must not add up.
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  return tally;
}

type Case = [string, number, (bytes: Uint8Array) => unknown, number, () => Promise<Uint8Array[]>];
const scans: Case[] = [
  [
    "NIfTI",
    10_000,
    (bytes) => readNifti(bytes, "scan", limit),
    352,
    async () => [smallScan(), smallScan({ little: false }), await writeNifti(scan, { gzip: true })],
  ],
  [
    "NRRD",
    10_000,
    (bytes) => readNrrd(bytes, "scan", limit),
    500,
    async () => [itkNrrdGzip, itkNrrdVector, await writeNrrd(scan)],
  ],
  [
    "MetaImage",
    10_000,
    (bytes) => readMeta(bytes, "scan", limit),
    500,
    async () => [itkMhaZlib, itkMhaVector, await writeMeta(scan)],
  ],
  [
    "Analyze",
    5000,
    (bytes) => readAnalyze(bytes, "scan.hdr", { ...limit, open: async () => new Uint8Array(4800) }),
    348,
    async () => [smallScan({ magic: "\0\0\0\0" }).slice(0, 348), smallScan({ magic: "ni1\0" }).slice(0, 348)],
  ],
];

/** For a machine that is busy. */
const patience = 300_000;

test.each(scans)(
  "mutated %s files, %i: each is read or refused in a sentence",
  async (_, count, read, head, seeds) => {
    const r = random(20);
    const files = await seeds();
    const { refused } = await tryAll(count, (i) => mutate(files[i % files.length], r, head), read);
    expect(refused).toBeGreaterThan(count / 8);
  },
  patience,
);

/** A PNG of 7 x 5 pixels with any header and rows, its checksums right: without them nearly every mutant would be refused for these. */
function png(bits: number, colour: number, interlace: number, r: Random): Uint8Array {
  const samples = [1, 0, 3, 1, 2, 0, 4][colour];
  const row = 1 + Math.ceil((7 * samples * bits) / 8);
  const raw = Uint8Array.from({ length: 5 * row }, (_, i) => (i % row === 0 ? r.int(5) : r.int(2) * 255));
  const header = Uint8Array.of(0, 0, 0, 7, 0, 0, 0, 5, bits, colour, 0, 0, interlace);
  if (r.int(3) === 0) mutateBytes(header, r);
  if (r.int(3) === 0) mutateBytes(raw, r);
  const packed = deflateSync(r.int(6) ? raw : raw.subarray(0, r.int(raw.length)));
  if (r.int(3) === 0) mutateBytes(packed, r);
  const cut = r.int(packed.length);
  const chunks = [
    chunk("IHDR", header),
    ...(colour === 3 ? [chunk("PLTE", Uint8Array.of(1, 2, 3, 4, 5, 6))] : []),
    chunk("IDAT", packed.subarray(0, cut)),
    chunk("IDAT", packed.subarray(cut)),
    chunk("IEND", new Uint8Array(0)),
  ];
  if (r.int(6) === 0) chunks.splice(r.int(chunks.length), r.int(3), chunks[r.int(chunks.length)]);
  const out = new Uint8Array(Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...chunks]));
  return r.int(4) ? out : mutate(out, r, 60);
}

function mutateBytes(bytes: Uint8Array, r: Random): void {
  bytes[r.int(bytes.length)] = r.int(2) ? r.int(256) : 1 << r.int(8);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

test(
  "10,000 mutated PNG files of every kind, their checksums right, alone and as slices of a stack",
  async () => {
    const r = random(21);
    const kinds = [
      [8, 0, 0],
      [16, 0, 0],
      [1, 0, 0],
      [4, 0, 0],
      [8, 2, 0],
      [16, 6, 0],
      [8, 4, 0],
      [8, 3, 0],
      [8, 0, 1],
      [16, 2, 1],
    ];
    const first = { width: 7, height: 5, data: new Uint8Array(35) };
    const read = async (bytes: Uint8Array): Promise<void> => {
      readPngHeader(bytes, "scan");
      const pictures = await decodePngChannels(bytes, "scan");
      for (const { width, height, data } of pictures) expect(data.length).toBe(width * height);
      stackPictures([first, pictures[0]], ["scan", "scan"], [1, 1, 1]);
    };
    const { read: whole, refused } = await tryAll(
      10_000,
      (i) => png(...(kinds[i % 10] as [number, number, number]), r),
      read,
    );
    expect(Math.min(whole, refused)).toBeGreaterThan(500);
  },
  patience,
);

test("1,000 mutated spacings of a stack", async () => {
  const r = random(22);
  const seed = new TextEncoder().encode('{"spacing": [2.5, 1, 0.75]}');
  const read = (bytes: Uint8Array): void => {
    const text = new TextDecoder().decode(bytes);
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // What is no JSON is refused where files are read.
    }
    expect(parseSpacing(value, "scan").every((mm) => mm > 0 && mm < Number.POSITIVE_INFINITY)).toBe(true);
  };
  const { read: whole, refused } = await tryAll(1000, () => mutate(seed, r, seed.length), read);
  expect(Math.min(whole, refused)).toBeGreaterThan(10);
});

test("a PNG that would unpack to more than 2 GiB is refused before it does", async () => {
  const header = Uint8Array.of(0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff, 16, 6, 0, 0, 0); // 8 bytes a pixel
  const packed = new Uint8Array(9_000_000); // 1032 times as much could come of it
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  const file = Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", packed),
    chunk("IEND", new Uint8Array(0)),
  ]);
  await expect(decodePng(file, "scan")).rejects.toThrow(
    "scan: a PNG that unpacks to 8589443079 bytes; expected at most 2147483648: cut it into smaller ones.",
  );
});
