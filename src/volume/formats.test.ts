import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { readAnalyze } from "./analyze.ts";
import { readMeta, writeMeta } from "./meta.ts";
import { smallScan } from "./nifti.fixture.ts";
import { readNifti, writeNifti } from "./nifti.ts";
import { readNrrd, writeNrrd } from "./nrrd.ts";
import { itkMhaVector, itkMhaZlib, itkNrrdGzip, itkNrrdVector } from "./others.fixture.ts";
import { decodePng, encodePng } from "./png.ts";
import type { Vec3, Volume } from "./volume.ts";

const readers = {
  nifti: async (bytes: Uint8Array): Promise<Volume[]> => (await readNifti(bytes, "scan", limit)).volumes,
  nrrd: (bytes: Uint8Array): Promise<Volume[]> => readNrrd(bytes, "scan", limit),
  mha: (bytes: Uint8Array): Promise<Volume[]> => readMeta(bytes, "scan", limit),
};
/** Mutated sizes may ask for much: no more than this is given. */
const limit = { maxBytes: 2 ** 26 };

describe("one scan through every format", () => {
  test("NIfTI, NRRD, MetaImage and back: the same voxels and affine, to the single precision of NIfTI-1", async () => {
    const turned = fc.tuple(
      fc.double({ min: -3, max: 3, noNaN: true }),
      fc.tuple(...[0.3, 0.3, 0.3].map((min) => fc.double({ min, max: 9, noNaN: true }))),
      fc.tuple(...[0, 0, 0].map(() => fc.double({ min: -500, max: 500, noNaN: true }))),
      fc.boolean(),
    );
    const property = fc.asyncProperty(turned, fc.nat(3), async ([angle, [a, b, c], origin, mirror], kind) => {
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      const rows = [
        [a * cos, -b * sin + 0, 0],
        [a * sin, b * cos, 0],
        [0, 0, mirror ? -c : c],
      ];
      const affine = Float64Array.from([...rows.flatMap((row, r) => [...row, origin[r]]), 0, 0, 0, 1]);
      const array = [Uint8Array, Int16Array, Float32Array, Float64Array][kind];
      const scan: Volume = { data: array.of(...Array.from({ length: 30 }, (_, i) => i * 3)), shape: [2, 3, 5], affine };
      const [nifti] = await readers.nifti(await writeNifti(scan, { gzip: true }));
      const [nrrd] = await readers.nrrd(await writeNrrd(nifti));
      const [mha] = await readers.mha(await writeMeta(nrrd));
      const [back] = await readers.nifti(await writeNifti(mha));
      for (const other of [nifti, nrrd, mha, back]) {
        expect([other.data, other.shape]).toEqual([scan.data, scan.shape]);
        // Half a step of single precision: 2^-24 of the largest number, 500 mm and a little.
        for (let i = 0; i < 16; i++) expect(Math.abs(other.affine[i] - affine[i])).toBeLessThan(4e-5);
      }
      // What was rounded once stays: the formats agree to double precision.
      for (let i = 0; i < 16; i++) expect(nrrd.affine[i] === nifti.affine[i]).toBe(true); // 0 and -0 are one
      for (let i = 0; i < 16; i++) expect(Math.abs(mha.affine[i] - nifti.affine[i])).toBeLessThan(1e-13);
    });
    await fc.assert(property, { numRuns: 50 });
  });
});

/** Changes 1 to 4 places: a bit, a byte, a run of bytes, or the length. */
function mutate(bytes: Uint8Array, r: ReturnType<typeof random>, head: number): Uint8Array {
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

describe("10,000 mutated files: each is read or refused in a sentence, in bounded memory", () => {
  const affine = Float64Array.of(2, 0, 0, 1, 0, 3, 0, 2, 0, 0, 4, 3, 0, 0, 0, 1);
  const scan = { data: Uint8Array.from({ length: 60 }, (_, i) => i % 7), shape: [3, 4, 5] as Vec3, affine };
  const seeds = async (): Promise<[string, (bytes: Uint8Array) => Promise<unknown>, number, Uint8Array[]][]> => [
    ["NIfTI", readers.nifti, 352, [smallScan(), smallScan({ little: false }), await writeNifti(scan, { gzip: true })]],
    ["NRRD", readers.nrrd, 500, [itkNrrdGzip, itkNrrdVector, await writeNrrd(scan)]],
    ["MetaImage", readers.mha, 500, [itkMhaZlib, itkMhaVector, await writeMeta(scan)]],
    [
      "Analyze",
      (bytes) => readAnalyze(bytes, "scan.hdr", { ...limit, open: async () => new Uint8Array(4800) }),
      348,
      [smallScan({ magic: "\0\0\0\0" }).slice(0, 348), smallScan({ magic: "ni1\0" }).slice(0, 348)],
    ],
    [
      "PNG",
      (bytes) => decodePng(bytes, "scan"),
      60,
      [await encodePng({ width: 12, height: 5, channels: 1, data: scan.data })],
    ],
  ];
  test("NIfTI, NRRD, MetaImage, Analyze and PNG, 2,000 each", async () => {
    const r = random(20);
    const before = process.memoryUsage().rss;
    for (const [format, read, head, files] of await seeds()) {
      const count = { read: 0, refused: 0 };
      for (let i = 0; i < 2000; i++) {
        const bytes = mutate(files[i % files.length], r, head);
        try {
          await read(bytes);
          count.read++;
        } catch (error) {
          if (!(error instanceof UserError)) throw new Error(`${format} ${i}: ${error}`, { cause: error });
          expect(error.message).toMatch(/^scan(\.hdr)?: .{10,300}[.)]$/s);
          count.refused++;
        }
      }
      expect(count.refused, format).toBeGreaterThan(300);
    }
    // One file may take the 64 MiB of the limit; 10,000 of them must not add up.
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  });
});
