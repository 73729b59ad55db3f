import { deflateRawSync } from "node:zlib";
import { expect, test } from "vitest";
import { UserError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { datasetBytes, EXPLICIT, packedFile, part10, sliceElements, sliceFile } from "./dicom.fixture.ts";
import { imageOf } from "./image.ts";
import { parseDicom } from "./parse.ts";
import { groupSeries, readSeries } from "./series.ts";

async function read(bytes: Uint8Array): Promise<void> {
  const data = await parseDicom(bytes, "scan");
  const image = imageOf(data, "scan");
  if (image) await readSeries(groupSeries([image])[0], "scan", async () => data);
}

test("10,000 mutated DICOM files: each is read or refused in a sentence, in bounded memory", async () => {
  const rle = new Uint8Array(79);
  rle.set([2, 0, 0, 0, 64, 0, 0, 0, 66]);
  rle.set([245, 0, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 64);
  const frames = {
    "00280008 IS": "2",
    "52009230 SQ": [0, 1].map(() => ({ "00209113 SQ": [{ "00200032 DS": "1\\2\\3" }] })),
  };
  const seeds = [
    sliceFile(0),
    part10("1.2.840.10008.1.2.2", datasetBytes(sliceElements(0), true)),
    packedFile("1.2.840.10008.1.2.5", [rle]),
    packedFile("1.2.840.10008.1.2.4.70", [Uint8Array.of(0xff, 0xd8, 0xff, 0xc3, 0, 11, 16, 0, 3, 0, 4, 1, 1, 0x11, 0)]),
    part10(EXPLICIT, datasetBytes({ ...sliceElements(0), ...frames })),
    sliceFile(0, { "00283000 SQ": [{ "00283002 US": [4, 2, 16], "00283006 US": [40, 30, 20, 10] }] }),
    part10("1.2.840.10008.1.2.1.99", deflateRawSync(Uint8Array.from(datasetBytes(sliceElements(0))))),
  ];
  const r = random(30);
  const count = { read: 0, refused: 0 };
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 10_000; i++) {
    let bytes: Uint8Array = seeds[i % seeds.length].slice();
    for (let times = 1 + r.int(3); times > 0; times--) {
      // What stands before byte 140 makes no DICOM file of it: little to learn there.
      const at = 140 + r.int(bytes.length - 140);
      const kind = r.int(5);
      if (kind === 0) bytes[at] ^= 1 << r.int(8);
      else if (kind === 1) bytes[at] = r.int(256);
      else if (kind === 2) bytes[at] = 48 + r.int(10);
      else if (kind === 3) bytes = bytes.slice(0, Math.max(142, at));
      else bytes.copyWithin(at, 140 + r.int(bytes.length - 140), Math.min(bytes.length, at + 16));
    }
    try {
      await read(bytes);
      count.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`${i}: ${error}`, { cause: error });
      expect(error.message).toMatch(/^scan: .{10,400}\.$/s);
      count.refused++;
    }
  }
  expect(Math.min(count.read, count.refused)).toBeGreaterThan(1000);
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29);
}, 120_000);
