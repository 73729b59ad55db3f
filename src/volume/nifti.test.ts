import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import * as oracle from "nifti-reader-js";
import { describe, expect, test } from "vitest";
import { columnLengths } from "./affine.ts";
import { fixtureBytes, smallScan } from "./nifti.fixture.ts";
import { readNifti, readNiftiHeader, writeNifti } from "./nifti.ts";
import { quaternionAffine, quaternionOf } from "./nifti-affine.ts";
import type { Vec3, Volume, VoxelArray } from "./volume.ts";

/** Code, bits, how to store a number, and values at the ends of the range. */
type Kind = [string, number, number, (v: DataView, at: number, x: number, little: boolean) => void, number[]];
const kinds: Kind[] = [
  ["Uint8Array", 2, 8, (v, at, x) => v.setUint8(at, x), [0, 255]],
  ["Int8Array", 256, 8, (v, at, x) => v.setInt8(at, x), [-128, 127]],
  ["Uint16Array", 512, 16, (v, at, x, le) => v.setUint16(at, x, le), [0, 65535, 258]],
  ["Int16Array", 4, 16, (v, at, x, le) => v.setInt16(at, x, le), [-32768, 32767, 258]],
  ["Uint32Array", 768, 32, (v, at, x, le) => v.setUint32(at, x, le), [0, 2 ** 32 - 1, 0x01020304]],
  ["Int32Array", 8, 32, (v, at, x, le) => v.setInt32(at, x, le), [-(2 ** 31), 2 ** 31 - 1, 0x01020304]],
  ["Float32Array", 16, 32, (v, at, x, le) => v.setFloat32(at, x, le), [-0.5, 2 ** 40, Math.fround(0.1)]],
  ["Float64Array", 64, 64, (v, at, x, le) => v.setFloat64(at, x, le), [-0.1, 1e300, Math.PI]],
  ["Float64Array", 1024, 64, (v, at, x, le) => v.setBigInt64(at, BigInt(x), le), [-(2 ** 53 - 1), 2 ** 53 - 1, -5]],
  ["Float64Array", 1280, 64, (v, at, x, le) => v.setBigUint64(at, BigInt(x), le), [0, 2 ** 53 - 1, 2 ** 32 + 1]],
];

/** Voxels as nifti-reader-js gives them: bytes in the file's order, read one by one. */
function oracleVoxels(bytes: Uint8Array): { header: oracle.NIFTI1 | oracle.NIFTI2; values: number[] } {
  const plain = bytes[0] === 0x1f ? gunzipSync(bytes) : bytes;
  const buffer = plain.buffer.slice(plain.byteOffset, plain.byteOffset + plain.byteLength) as ArrayBuffer;
  const header = oracle.readHeader(buffer);
  const view = new DataView(oracle.readImage(header, buffer));
  const le = header.littleEndian;
  const read: Record<number, (at: number) => number> = {
    2: (at) => view.getUint8(at),
    256: (at) => view.getInt8(at),
    512: (at) => view.getUint16(at, le),
    4: (at) => view.getInt16(at, le),
    768: (at) => view.getUint32(at, le),
    8: (at) => view.getInt32(at, le),
    16: (at) => view.getFloat32(at, le),
    64: (at) => view.getFloat64(at, le),
    1024: (at) => Number(view.getBigInt64(at, le)),
    1280: (at) => Number(view.getBigUint64(at, le)),
  };
  const width = header.numBitsPerVoxel / 8;
  const count = header.dims.slice(1, header.dims[0] + 1).reduce((a, b) => a * b, 1);
  return { header, values: Array.from({ length: count }, (_, i) => read[header.datatypeCode](i * width)) };
}

/** Largest difference of two lists of the same length. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));
}

async function sameAsOracle(bytes: Uint8Array, tolerance: number): Promise<Volume> {
  const { header, volumes } = await readNifti(bytes, "test");
  const { header: theirs, values } = oracleVoxels(bytes);
  expect(header.littleEndian).toBe(theirs.littleEndian);
  expect([...volumes[0].shape].reverse()).toEqual(theirs.dims.slice(1, 4));
  expect(distance(volumes[0].affine, theirs.affine.flat())).toBeLessThanOrEqual(tolerance);
  expect(volumes.length).toBe(1);
  // One comparison of whole arrays: millions of expect calls are slow.
  expect(volumes[0].data.every((value, i) => Object.is(value, values[i]))).toBe(true);
  expect(volumes[0].data.length).toBe(values.length);
  return volumes[0];
}

describe("reading every type, byte order and version, checked by nifti-reader-js", () => {
  const forms = [1, 2].flatMap((version) => [true, false].map((little) => ({ version: version as 1 | 2, little })));
  test.each(kinds)("%s (datatype %i)", async (array, code, bits, put, ends) => {
    for (const form of forms) {
      const value = (i: number): number => ends[i] ?? i;
      const bytes = fixtureBytes({
        ...form,
        dims: [3, 4, 5],
        code,
        bits,
        put: (view, at, i, little) => put(view, at, value(i), little),
        pixdim: [1, 2, 3, 4],
        sform: { code: 2, rows: [0, 3, 0, -1, 2, 0, 0, 5.5, 0, 0, -4, 7] },
      });
      for (const file of [bytes, new Uint8Array(gzipSync(bytes))]) {
        // Axes swapped on purpose: pixdim says 2, 3, 4 and the columns are 2, 3, 4 long.
        const { data, shape, affine } = await sameAsOracle(file, 0);
        expect(data.constructor.name).toBe(array);
        expect(shape).toEqual([5, 4, 3]);
        expect([...affine]).toEqual([0, 3, 0, -1, 2, 0, 0, 5.5, 0, 0, -4, 7, 0, 0, 0, 1]);
        expect([...data]).toEqual(Array.from({ length: 60 }, (_, i) => value(i)));
      }
    }
  });
});

describe("scaling", () => {
  const read = async (change: object): Promise<VoxelArray> =>
    (await readNifti(smallScan(change), "test")).volumes[0].data;
  test("slope and intercept give Float32 for 16-bit voxels", async () => {
    const data = await read({ slope: 0.5, intercept: -1024 });
    expect(data).toBeInstanceOf(Float32Array);
    expect([...data.slice(0, 3)]).toEqual([-1027.5, -1027, -1026.5]);
  });
  test("slope 0, slope NaN and slope 1 keep the integers", async () => {
    for (const slope of [0, Number.NaN, 1]) expect(await read({ slope })).toBeInstanceOf(Int16Array);
    expect([...(await read({ slope: 0, intercept: 9 })).slice(0, 2)]).toEqual([-7, -6]);
  });
  test("32-bit integers scale in Float64", async () => {
    const put = (view: DataView, at: number): void => view.setInt32(at, 2 ** 31 - 1, true);
    const data = await read({ code: 8, bits: 32, put, slope: 2, intercept: 1 });
    expect(data).toBeInstanceOf(Float64Array);
    expect(data[0]).toBe(2 ** 32 - 1);
  });
});

describe("geometry", () => {
  const affineOf = async (change: object): Promise<{ from: string; affine: number[] }> => {
    const { header } = await readNifti(smallScan(change), "test");
    return { from: header.affineFrom, affine: [...header.affine] };
  };
  const qform = { code: 1, quaternion: [0, 0, Math.SQRT1_2], offset: [5, 6, 7] };
  test("sform before qform, qform before pixdim", async () => {
    expect((await affineOf({ qform })).affine).toEqual([2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30, 0, 0, 0, 1]);
    // A quarter turn about z: i grows along y, j along -x.
    const turned = await affineOf({ qform, sform: undefined });
    expect(turned.from).toBe("qform");
    const hand = [0, -3, 0, 5, 2, 0, 0, 6, 0, 0, 4, 7, 0, 0, 0, 1];
    expect(distance(turned.affine, hand)).toBeLessThan(1e-6);
    expect(await affineOf({ sform: undefined })).toEqual({
      from: "pixdim",
      affine: [2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1],
    });
  });
  test("a pixdim of 0 beside an sform is unset, no contradiction", async () => {
    expect((await affineOf({ pixdim: [1, 2, 0, 0] })).from).toBe("sform");
  });
  test("qfac -1 mirrors k", async () => {
    const { affine } = await affineOf({
      qform: { ...qform, quaternion: [0, 0, 0] },
      sform: undefined,
      pixdim: [-1, 2, 3, 4],
    });
    expect(affine).toEqual([2, 0, 0, 5, 0, 3, 0, 6, 0, 0, -4, 7, 0, 0, 0, 1]);
  });
  test("metres and micrometres become mm", async () => {
    expect((await affineOf({ units: 1 })).affine.slice(0, 4)).toEqual([2000, 0, 0, 10000]);
    expect((await affineOf({ units: 3 + 8 })).affine[0]).toBeCloseTo(0.002, 12);
  });
  test("quaternions: there and back for random rotations, zooms and handedness, checked by nifti-reader-js", async () => {
    const unit = fc.double({ min: -1, max: 1, noNaN: true });
    const zoom = fc.double({ min: 0.1, max: 10, noNaN: true });
    const cases = fc.tuple(fc.tuple(unit, unit, unit, unit), fc.tuple(zoom, zoom, zoom), fc.constantFrom(1, -1));
    await fc.assert(
      fc.asyncProperty(cases, async ([[a, b, c, d], zooms, qfac]) => {
        const length = Math.hypot(a, b, c, d);
        fc.pre(length > 0.1);
        const sign = a < 0 ? -1 : 1;
        const quaternion = [b, c, d].map((value) => (sign * value) / length) as Vec3;
        const affine = quaternionAffine(quaternion, [1, 2, 3], zooms, qfac);
        const back = quaternionOf(affine);
        expect(back?.qfac).toBe(qfac);
        expect(columnLengths(affine).every((value, i) => Math.abs(value - zooms[i]) < 1e-6)).toBe(true);
        const again = quaternionAffine(back!.quaternion, [1, 2, 3], back!.zooms, back!.qfac);
        expect(distance(again, affine)).toBeLessThan(1e-5);
        const bytes = await writeNifti({ data: new Uint8Array(1), shape: [1, 1, 1], affine }, { version: 2 });
        const theirs = oracle.readHeader(bytes.buffer as ArrayBuffer).getQformMat();
        expect(distance(theirs.flat(), affine)).toBeLessThan(1e-5);
      }),
      { numRuns: 200 },
    );
  });
});

describe("shapes", () => {
  test("4D gives a list of volumes over one memory", async () => {
    const { header, volumes } = await readNifti(smallScan({ dims: [2, 3, 2, 4] }), "test");
    expect(header.volumes).toBe(4);
    expect(volumes.map(({ data }) => data[0])).toEqual([-7, 5, 17, 29]);
    expect(volumes[3].data.buffer).toBe(volumes[0].data.buffer);
    expect(volumes[3].shape).toEqual([2, 3, 2]);
  });
  test("2D is one slice; trailing axes of length 1 are no axes", async () => {
    const { volumes } = await readNifti(smallScan({ dims: [4, 3], sform: undefined, pixdim: [1, 2, 3] }), "test");
    expect(volumes[0].shape).toEqual([1, 3, 4]);
    expect([...volumes[0].affine.slice(0, 12)]).toEqual([2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0]);
    expect((await readNifti(smallScan({ dims: [4, 3, 2, 1, 1, 1, 1] }), "test")).volumes[0].shape).toEqual([2, 3, 4]);
  });
  test("a header extension is passed over", async () => {
    const bytes = smallScan({ voxOffset: 352 + 4096 });
    for (const file of [bytes, gzipSync(bytes)]) expect((await sameAsOracle(new Uint8Array(file), 0)).data[0]).toBe(-7);
  });
  test("an unpacked, aligned file is read without copying", async () => {
    const bytes = smallScan();
    const shared = (await readNifti(bytes, "test")).volumes[0].data;
    expect(shared.buffer).toBe(bytes.buffer);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect((await readNifti(shifted.subarray(1), "test")).volumes[0].data).toEqual(shared);
  });
  test("big-endian bytes of the caller are left alone", async () => {
    const bytes = smallScan({ little: false });
    const before = bytes.slice();
    await readNifti(bytes, "test");
    expect(bytes).toEqual(before);
  });
});

describe("writing", () => {
  const arrays = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Float64Array];
  const affine = Float64Array.of(0, -0.5, 0, 12.25, 0, 0, 3, -7, 1.5, 0, 0, 0.125, 0, 0, 0, 1);
  test.each(arrays)("%o goes there and back exactly, and nifti-reader-js reads the same", async (Type) => {
    const data = new Type(Array.from({ length: 24 }, (_, i) => (i - 5) * 1001.7));
    for (const options of [{}, { gzip: true }, { version: 2 as const }, { version: 2 as const, gzip: true }]) {
      const back = await sameAsOracle(await writeNifti({ data, shape: [2, 3, 4], affine }, options), 0);
      expect(back).toEqual({ data, shape: [2, 3, 4], affine });
    }
  });
  test("writes qform and sform, pixdim, mm and the description", async () => {
    const bytes = await writeNifti({ data: new Uint8Array(24), shape: [2, 3, 4], affine });
    const header = oracle.readHeader(bytes.buffer as ArrayBuffer);
    expect([header.qform_code, header.sform_code, header.xyzt_units]).toEqual([1, 1, 2]);
    expect(header.pixDims.slice(1, 4)).toEqual([1.5, 0.5, 3]);
    expect(header.vox_offset).toBe(352);
    expect((await readNiftiHeader(bytes, "test")).description).toBe("lunet");
    expect(distance(header.getQformMat().flat(), affine)).toBeLessThan(1e-6);
  });
  test("a sheared affine has no qform and keeps its sform", async () => {
    const sheared = Float64Array.of(1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
    const bytes = await writeNifti({ data: new Uint8Array(1), shape: [1, 1, 1], affine: sheared }, { version: 2 });
    expect(oracle.readHeader(bytes.buffer as ArrayBuffer).qform_code).toBe(0);
    expect((await readNifti(bytes, "test")).header.affine).toEqual(sheared);
  });
  test("NIfTI-2 keeps a double precision affine, NIfTI-1 rounds it to single", async () => {
    const fine = affine.map((value) => value / 3);
    fine[15] = 1;
    const volume = { data: new Uint8Array(1), shape: [1, 1, 1] as Vec3, affine: fine };
    expect((await readNifti(await writeNifti(volume, { version: 2 }), "t")).header.affine).toEqual(fine);
    expect((await readNifti(await writeNifti(volume), "t")).header.affine).toEqual(fine.map(Math.fround));
  });
  test("an axis above 32767 makes it NIfTI-2, and refuses NIfTI-1", async () => {
    const volume = { data: new Uint8Array(40000), shape: [1, 1, 40000] as Vec3, affine };
    expect((await readNifti(await writeNifti(volume), "t")).header.version).toBe(2);
    await expect(writeNifti(volume, { version: 1 })).rejects.toThrow("an axis above 32767; use version 2");
  });
  test("several volumes become one 4D file", async () => {
    const list = [1, 2, 3].map((v) => ({ data: Int16Array.of(v, -v), shape: [1, 1, 2] as Vec3, affine }));
    const { volumes } = await readNifti(await writeNifti(list, { gzip: true }), "test");
    expect(volumes).toEqual(list);
    await expect(writeNifti([list[0], { ...list[1], shape: [1, 2, 1] }])).rejects.toThrow("must share shape and type");
    await expect(writeNifti([])).rejects.toThrow("at least one volume");
  });
  test("refuses a volume that does not fit its shape, or with a singular affine", async () => {
    const volume = { data: new Uint8Array(5), shape: [1, 2, 3] as Vec3, affine };
    await expect(writeNifti(volume)).rejects.toThrow("shape [1, 2, 3] does not fit 5 voxels");
    const flat = { data: new Uint8Array(6), shape: [1, 2, 3] as Vec3, affine: new Float64Array(16) };
    await expect(writeNifti(flat)).rejects.toThrow("the affine is singular: voxel axis i has length 0 mm");
  });
});

const shared = new URL("../../../shared/data/", import.meta.url);
const present = existsSync(shared);
if (!present) console.log("Skipped the tests on real scans: ../shared/data is not here.");
describe.skipIf(!present)("real scans, checked by nifti-reader-js", () => {
  const folder = (name: string, count: number): string[] =>
    present
      ? readdirSync(new URL(name, shared))
          .filter((file) => file.endsWith(".nii.gz") && !file.startsWith("."))
          .sort()
          .slice(0, count)
          .map((file) => name + file)
      : [];
  const files = [
    ...folder("hippocampus/imagesTr/", 5),
    ...folder("hippocampus/labelsTr/", 5),
    ...folder("formats/nifti_odd_axes/", 4),
    ...folder("formats/mri_whole_head/", 1),
  ];
  test("the list is not empty", () => expect(files.length).toBe(15));
  test.each(files)("%s", async (file) => {
    // nifti-reader-js takes the qform where its code is higher; in these files it agrees with the sform to 1e-5 mm a voxel.
    const volume = await sameAsOracle(readFileSync(new URL(file, shared)), 2e-5);
    const again = await readNifti(await writeNifti(volume, { gzip: true }), file);
    expect(again.volumes[0].shape).toEqual(volume.shape);
    expect(again.volumes[0].affine).toEqual(volume.affine);
    expect(again.volumes[0].data.constructor).toBe(volume.data.constructor);
    expect(
      Buffer.compare(Buffer.from(again.volumes[0].data.buffer), Buffer.from(Uint8Array.from(bytesOf(volume.data)))),
    ).toBe(0);
  });
});

function bytesOf(data: VoxelArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
