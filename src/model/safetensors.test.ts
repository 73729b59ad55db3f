import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readSafetensors, type TensorFile, writeSafetensors } from "./safetensors.ts";

const file: TensorFile = {
  tensors: new Map([
    ["a", { shape: [2, 1], data: Float32Array.of(1, -2) }],
    ["b", { shape: [], data: Float32Array.of(0.5) }],
  ]),
  metadata: { note: "ü" },
};

test("the bytes decoded by hand", () => {
  const bytes = writeSafetensors(file);
  const view = new DataView(bytes.buffer);
  const length = view.getUint32(0, true);
  expect([view.getUint32(4, true), length % 8]).toEqual([0, 0]);
  const header = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  expect(header[0]).toBe("{");
  expect(JSON.parse(header)).toEqual({
    __metadata__: { note: "ü" },
    a: { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] },
    b: { dtype: "F32", shape: [], data_offsets: [8, 12] },
  });
  expect(bytes.length).toBe(8 + length + 12);
  // IEEE 754 little endian: 1 = 3f800000, -2 = c0000000, 0.5 = 3f000000.
  expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f]);
});

/** A file with any header, as another program might write it. */
function handmade(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const one = (offsets: number[], shape: unknown = [1]) => ({ dtype: "F32", shape, data_offsets: offsets });

test("reads unaligned headers, tensors in any order and views into a larger buffer", () => {
  const bytes = handmade({ late: one([4, 8]), first: one([0, 4]), none: one([8, 8], [0, 3]) }, 8);
  bytes[bytes.length - 1] = 0x40;
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  const read = readSafetensors(shifted.subarray(3), "x");
  expect(read.metadata).toEqual({});
  expect([...read.tensors.keys()]).toEqual(["late", "first", "none"]);
  expect(read.tensors.get("late")!.data).toEqual(Float32Array.of(2));
  expect(read.tensors.get("none")!.data.length).toBe(0);
});

test("any tensors survive", () => {
  const tensor = fc.float32Array({ maxLength: 9 }).map((data) => ({ shape: [data.length], data }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), tensor), { maxLength: 4 }), fc.string(), (entries, note) => {
      const names = entries.filter(([name]) => name !== "__metadata__" && name !== "__proto__");
      const tensors: TensorFile["tensors"] = new Map(names);
      const read = readSafetensors(writeSafetensors({ tensors, metadata: { note } }), "x");
      expect(new Map(read.tensors)).toEqual(tensors);
      expect(read.metadata).toEqual({ note });
    }),
  );
});

test("a file cut anywhere is refused", () => {
  const bytes = writeSafetensors(file);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => readSafetensors(bytes.subarray(0, length), "m.safetensors")).toThrow(
      /m\.safetensors (has only|is cut)/,
    );
  }
  const longer = new Uint8Array(bytes.length + 4);
  longer.set(bytes);
  expect(() => readSafetensors(longer, "m")).toThrow("Expected 12 data bytes in m, but it has 16");
});

test.each<[string, Uint8Array, string]>([
  ["header too large", Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 123, 125), "states a header of 4294967296 bytes"],
  ["no JSON", handmade("{no", 0), "is not a JSON object"],
  ["a list", handmade([], 0), "is not a JSON object"],
  ["another type", handmade({ a: { ...one([0, 2]), dtype: "F16" } }, 2), 'to be F32, but its dtype is "F16"'],
  ["no entry", handmade({ a: null }, 0), "to be F32, but its dtype is undefined"],
  ["a negative shape", handmade({ a: one([0, 4], [-1]) }, 4), "to be a list of counts, but got [-1]"],
  ["offsets reversed", handmade({ a: one([4, 0]) }, 4), "to be [begin, end], but got [4,0]"],
  ["offsets outside", handmade({ a: one([0, 4]), b: one([4, 8]) }, 4), "is cut short: tensor b ends at"],
  ["offsets huge", handmade({ a: one([0, 1e18]) }, 4), "to be [begin, end]"],
  ["another size", handmade({ a: one([0, 8]) }, 8), "Expected 4 bytes for shape [1] of tensor a of x"],
  ["overlap", handmade({ a: one([0, 4]), b: one([0, 4]) }, 4), "overlaps the tensor before it"],
  ["gap", handmade({ a: one([0, 4]), b: one([8, 12]) }, 12), "leaves a gap before it"],
  ["metadata", handmade({ __metadata__: { a: 1 } }, 0), "__metadata__ of x to be an object of strings"],
])("damage is named: %s", (_, bytes, message) => {
  expect(() => readSafetensors(bytes, "x")).toThrow(message);
});

test("other number types: refused, or converted where asked for", () => {
  const header = {
    f64: { dtype: "F64", shape: [1], data_offsets: [0, 8] },
    count: { dtype: "I64", shape: [], data_offsets: [8, 16] },
    f16: { dtype: "F16", shape: [1], data_offsets: [16, 18] },
    bf16: { dtype: "BF16", shape: [1], data_offsets: [18, 20] },
  };
  const bytes = handmade(header, 20);
  const view = new DataView(bytes.buffer, bytes.length - 20);
  view.setFloat64(0, 0.1, true);
  view.setUint16(16, 0x3c01, true); // 1 + 2^-10
  view.setUint16(18, 0xc040, true); // the upper half of -3 in float32
  const { tensors } = readSafetensors(bytes, "x", { convert: true });
  expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([
    ["f64", Math.fround(0.1)],
    ["f16", 1 + 2 ** -10],
    ["bf16", -3],
  ]);
  expect(() => readSafetensors(bytes, "x")).toThrow('tensor f64 of x to be F32, but its dtype is "F64"');
  const strange = handmade({ a: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, 1);
  expect(() => readSafetensors(strange, "x", { convert: true })).toThrow('its dtype is "F8_E4M3"');
});
