import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { smallScan } from "./nifti.fixture.ts";
import { readNifti } from "./nifti.ts";

describe("bad files are refused in a sentence", () => {
  const refused = (bytes: Uint8Array, sentence: string | RegExp, options = {}): Promise<void> =>
    expect(readNifti(bytes, "scan.nii.gz", options)).rejects.toThrow(sentence);
  // Noise does not pack, so that cuts fall inside the voxels.
  const noise = random(5);
  const large = smallScan({ dims: [40, 40, 40], put: (view, at) => view.setInt16(at, noise.int(60000) - 30000, true) });

  test("a gzip stream cut in the middle", async () => {
    const packed = new Uint8Array(gzipSync(large));
    const sentence =
      /^scan.nii.gz: compressed data is cut short or damaged after \d+ unpacked bytes; copy the file again.$/;
    for (const share of [0.999, 0.5, 0.01])
      await refused(packed.subarray(0, Math.floor(packed.length * share)), sentence);
    await refused(packed.subarray(0, 12), sentence);
  });
  test("one changed byte in the packed voxels", async () => {
    const packed = new Uint8Array(gzipSync(large));
    packed[packed.length >> 1] ^= 1;
    await refused(packed, "cut short or damaged");
  });
  test("voxels cut short before packing, and in a plain file", async () => {
    const cut = large.subarray(0, 100_352);
    const sentence =
      "scan.nii.gz: cut short, 40 x 40 x 40 voxels of int16 take 128000 bytes and the file holds 100000; copy it again.";
    await refused(new Uint8Array(gzipSync(cut)), sentence);
    await refused(cut, sentence);
  });
  test("sizes of zero and below", async () => {
    await refused(
      smallScan({ dims: [4, 0, 2] }),
      "scan.nii.gz: impossible size 0 of axis 2 (dim[2]); expected 1 or more.",
    );
    await refused(smallScan({ dims: [4, 3, -2] }), "impossible size -2 of axis 3");
    await refused(smallScan({ little: false }).fill(0, 40, 42), "impossible number of dimensions 0 (dim[0])");
    await refused(smallScan({ dims: [1, 1, 1, 1, 1, 1, 1, 1, 1] }), "impossible number of dimensions 9 (dim[0])");
  });
  test("sizes that no file of this length can hold", async () => {
    const huge = smallScan({ dims: [30000, 30000, 30000] });
    await refused(
      huge,
      "cut short, 30000 x 30000 x 30000 voxels of int16 take 54000000000000 bytes and the file holds 0",
    );
    await refused(new Uint8Array(gzipSync(huge)), "take 54000000000000 bytes; expected at most 8589934592", {});
    await refused(new Uint8Array(gzipSync(huge)), /impossible dimensions, .* more than \d+ compressed bytes can hold/, {
      maxBytes: 1e15,
    });
    const overflow = smallScan({ version: 2, dims: [2 ** 50, 2 ** 50, 2 ** 50] });
    await refused(overflow, "impossible dimensions 1125899906842624 x 1125899906842624 x 1125899906842624 x 1");
  });
  test("a gzip bomb behind a small header is not unpacked", async () => {
    const bomb = new Uint8Array(64 * 1024 * 1024);
    bomb.set(smallScan());
    const packed = new Uint8Array(gzipSync(bomb));
    expect(packed.length).toBeLessThan(100_000);
    const before = process.memoryUsage().arrayBuffers;
    await refused(packed, "holds more data than its header describes (4 x 3 x 2 voxels of int16, 48 bytes)");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024);
  });
  test("other files", async () => {
    const text = new TextEncoder().encode("This is a text, not a scan. ".repeat(40));
    const sentence = "scan.nii.gz: not a NIfTI file, it does not begin with the header size 348 or 540.";
    await refused(text, sentence);
    await refused(new Uint8Array(gzipSync(text)), sentence);
    await refused(new Uint8Array(0), "not a NIfTI file, only 0 bytes where the header alone takes 348");
    await refused(
      smallScan({ magic: "ni1\0" }),
      "header of a .hdr/.img pair in one .nii file; expected x.hdr beside x.img",
    );
    await refused(smallScan({ magic: "\0\0\0\0" }), 'expected the mark "n+1" and found "" (Analyze 7.5 or damaged)');
    await refused(smallScan({ version: 2 }).subarray(0, 400), "cut short inside its 540-byte header");
  });
  test("datatypes without one real number a voxel", async () => {
    await refused(smallScan({ code: 128 }), "scan.nii.gz: voxels are RGB24 colour (datatype 128); expected integers");
    await refused(smallScan({ code: 32 }), "voxels are complex64 (datatype 32)");
    await refused(smallScan({ code: 1 }), "voxels are binary (1 bit a voxel)");
    await refused(smallScan({ code: 77 }), "datatype 77 is not in the NIfTI standard");
    await refused(smallScan({ code: 8 }), "datatype says int32 (32 bits) and bitpix says 16");
  });
  test("64-bit integers that float64 would round", async () => {
    const put = (view: DataView, at: number): void => view.setBigInt64(at, 2n ** 53n + 1n, true);
    await refused(smallScan({ code: 1024, bits: 64, put }), "voxel 0 holds a 64-bit integer beyond 2^53");
  });
  test("an affine that is not finite or is singular", async () => {
    const sform = (rows: number[]): Uint8Array => smallScan({ sform: { code: 1, rows } });
    await refused(
      sform([Number.NaN, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
      "the sform affine holds NaN in row 1, column 1",
    );
    await refused(
      sform([2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]),
      "the sform affine is singular: voxel axis k has length 0 mm",
    );
    await refused(sform([2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]), "singular: its three voxel axes lie in one plane");
    const nan = { code: 1, quaternion: [Number.NaN, 0, 0], offset: [0, 0, 0] };
    await refused(smallScan({ sform: undefined, qform: nan }), "the qform affine holds NaN");
    await refused(
      smallScan({ sform: undefined, pixdim: [1, 2, 0, 4] }),
      "voxel size pixdim[2] is 0; expected a positive",
    );
  });
  test("pixdim and sform that disagree", async () => {
    await refused(
      smallScan({ pixdim: [1, 1, 1, 1] }),
      "scan.nii.gz: voxel sizes disagree, pixdim says 1 x 1 x 1 and sform says 2 x 3 x 4; expected the same: " +
        "set one of them right in the file's header.",
    );
    expect((await readNifti(smallScan({ pixdim: [1, 2.02, 3, 4] }), "t")).volumes.length).toBe(1);
  });
  test("more than four dimensions, and voxels inside the header", async () => {
    await refused(
      smallScan({ dims: [4, 3, 2, 1, 3] }),
      "3 entries along axis 5 (dim[5]); expected a 3D scan or a 4D list",
    );
    await refused(smallScan({ voxOffset: 350 }), "voxels cannot start at byte 350 (vox_offset); expected 352 or later");
    await refused(smallScan({ slope: 2, intercept: Number.NaN }), "scl_inter is NaN beside scl_slope 2");
  });
});
