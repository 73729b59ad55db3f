import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readMeta, writeMeta } from "./meta.ts";
import { readNifti, writeNifti } from "./nifti.ts";
import { readNrrd, writeNrrd } from "./nrrd.ts";
import type { Volume } from "./volume.ts";

const readers = {
  nifti: async (bytes: Uint8Array): Promise<Volume[]> => (await readNifti(bytes, "scan")).volumes,
  nrrd: (bytes: Uint8Array): Promise<Volume[]> => readNrrd(bytes, "scan"),
  mha: (bytes: Uint8Array): Promise<Volume[]> => readMeta(bytes, "scan"),
};

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
