import { expect, test } from "vitest";
import { flat } from "../net/make.ts";
import { UserError } from "../util/errors.ts";
import { type Random, random } from "../util/random.ts";
import { modelToBytes, readModel } from "./file.ts";
import { importWeights } from "./import.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";
import { sampleModel } from "./sample.ts";

const net = flat(1, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 });

/** Model files with everything that one may hold. */
function seeds(): Uint8Array[] {
  const plain = sampleModel(net);
  const evidence = { cases: 3, before: 0.5, after: 0.6, classes: [{ name: "class 1", before: 0.5, after: 0.6 }] };
  const full = {
    ...plain,
    calibration: { temperature: 1.5, eceBefore: 0.1, eceAfter: 0, nllBefore: 1, nllAfter: 0.5, cases: 2, voxels: 9 },
    postprocessing: { keepLargest: [[1]], connectivity: 26 as const, evidence },
    testTime: { mirror: false, shifts: 1 },
  };
  const regions = sampleModel({ ...net, output: "sigmoid", outputChannels: 1 });
  regions.plan.regions = [{ name: "all", values: [1], paint: 1 }];
  return [plain, full, regions].map(modelToBytes);
}

/** Changes 1 to 4 places: a bit, a byte, a digit, a run of bytes, or the length; mostly in the header, where it does most. */
function mutateBytes(bytes: Uint8Array, r: Random): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let times = 1 + r.int(4); times > 0; times--) {
    const at = r.int(r.int(4) ? Math.min(out.length, bytes.length - 200) : r.int(2) ? 8 : out.length);
    const kind = r.int(6);
    if (kind === 0) out[at] ^= 1 << r.int(8);
    else if (kind === 1) out[at] = r.int(256);
    else if (kind === 2) out[at] = 48 + r.int(10);
    else if (kind === 3) out = out.slice(0, Math.max(9, at));
    else if (kind === 4) out.copyWithin(at, r.int(out.length), Math.min(out.length, at + 16));
    else out = new Uint8Array([...out.subarray(0, at), ...out.subarray(at, at + 12), ...out.subarray(at)]);
  }
  return out;
}

/** Long, and with what would clear a terminal. */
const hostile = `\u001b[2J${"x".repeat(2000)}`;

const odd = [
  null,
  -1,
  0,
  1.5,
  3,
  1024,
  1e9,
  2 ** 53,
  1e308,
  "",
  "1e9",
  "__proto__",
  true,
  [],
  [[[[]]]],
  {},
  { version: 1 },
];

/** Puts an odd value in a random place of a JSON value, or takes the place away. */
function mutateJson(value: unknown, r: Random): unknown {
  if (typeof value !== "object" || value === null || r.int(12) === 0) return odd[r.int(odd.length)];
  const keys = Object.keys(value);
  if (keys.length === 0) return odd[r.int(odd.length)];
  const key = keys[r.int(keys.length)];
  if (Array.isArray(value)) {
    const copy = [...value];
    if (r.int(6) === 0) copy.splice(Number(key), r.int(2), ...copy.slice(0, r.int(40)));
    else copy[Number(key)] = mutateJson(copy[Number(key)], r);
    return copy;
  }
  const { [key]: old, ...rest } = value as Record<string, unknown>;
  const name = [key, key, key, key, "__proto__", hostile][r.int(6)];
  return r.int(8) === 0 ? rest : { ...rest, [name]: name === key ? mutateJson(old, r) : old };
}

/** A file whose header is sound JSON and says something else. */
function mutateHeader(bytes: Uint8Array, r: Random): Uint8Array {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  let header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  if (r.int(4) === 0) header = mutateJson(header, r);
  else header.__metadata__.lunet = JSON.stringify(mutateJson(JSON.parse(header.__metadata__.lunet), r));
  const json = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + bytes.length - 8 - length);
  new DataView(out.buffer).setUint32(0, json.length, true);
  out.set(json, 8);
  out.set(bytes.subarray(8 + length), 8 + json.length);
  return out;
}

/** Tries every file and counts; anything but a sentence is an error that names the number of the file. */
function tryAll(count: number, make: (i: number) => Uint8Array, read: (bytes: Uint8Array) => void): [number, number] {
  const tally: [number, number] = [0, 0];
  const before = process.memoryUsage().rss;
  for (let i = 0; i < count; i++) {
    const bytes = make(i);
    try {
      read(bytes);
      tally[0]++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`${i}: ${error}`, { cause: error });
      expect(error.message).toMatch(/^\P{Cc}*\bm\.safetensors\b\P{Cc}*\.$/u);
      expect(error.message.length).toBeLessThan(600);
      tally[1]++;
    }
  }
  // The files have a kilobyte or two each: none may ask for more than a little.
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
  return tally;
}

test("10,000 mutated model files: each is read or refused in a sentence, in bounded memory", () => {
  const r = random(50);
  const files = seeds();
  const mutate = [mutateBytes, mutateHeader];
  const make = (i: number): Uint8Array => mutate[i % 2](files[i % files.length], r);
  const [read, refused] = tryAll(10_000, make, (bytes) => readModel(bytes, "m.safetensors"));
  expect(Math.min(read, refused)).toBeGreaterThan(500);
});

test("2,000 mutated files of other programs' weights", () => {
  const r = random(51);
  const { tensors } = sampleModel(net);
  const own = readSafetensors(modelToBytes(sampleModel(net)), "own").tensors;
  const numbered = new Map([...own].map(([name, tensor], i) => [`${String(i).padStart(4, "0")}.${name}`, tensor]));
  const files = [own, numbered].map((map) => writeSafetensors({ tensors: map, metadata: {} }));
  expect(tensors.size).toBe(own.size);
  const [, refused] = tryAll(
    2000,
    (i) => mutateBytes(files[i % 2], r),
    (bytes) => importWeights(readSafetensors(bytes, "m.safetensors", { convert: true }), net, "m.safetensors"),
  );
  expect(refused).toBeGreaterThan(500);
});
