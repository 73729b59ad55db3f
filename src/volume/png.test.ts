import { crc32, deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { decodePng, decodePngChannels, encodePng } from "./png.ts";

const unpack = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

/** A PNG put together with Node's zlib and crc32, which the decoder does not use. */
function png(width: number, height: number, bits: number, colour: number, rows: number[], interlace = 0): Uint8Array {
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, colour, 0, 0, interlace], 8);
  const packed = deflateSync(Uint8Array.from(rows));
  // Two IDAT chunks: a decoder must join them.
  const parts = [chunk("IHDR", header), chunk("tEXt", Buffer.from("by hand")), chunk("IDAT", packed.subarray(0, 5))];
  parts.push(chunk("IDAT", packed.subarray(5)), chunk("IEND", Buffer.alloc(0)));
  return new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...parts]));
}

/** [3, 5] picture that Pillow wrote below. */
const grey = [0, 1, 2, 3, 250, 9, 80, 7, 6, 5, 255, 0, 255, 0, 128];

describe("files that Pillow wrote", () => {
  test("8-bit grey", async () => {
    const file =
      "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAAAAAB+XZokAAAAGklEQVR4nGNgYGRi/sXAGcDOxsrwn+E/QwMAGakD6nA19a8AAAAASUVORK5CYII=";
    expect(await decodePng(unpack(file), "t")).toEqual({ width: 5, height: 3, data: Uint8Array.from(grey) });
  });
  test("16-bit grey", async () => {
    const file =
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACEAAAAADoj+WFAAAAFklEQVR4nGNgYGBgZGRg+P9fyISBHQAMAQJOjpxlMAAAAABJRU5ErkJggg==";
    const data = Uint16Array.of(0, 1, 256, 65535, 4660, 7);
    expect(await decodePng(unpack(file), "t")).toEqual({ width: 3, height: 2, data });
  });
  test("1-bit grey", async () => {
    const file = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADAQAAAABzTfhVAAAADklEQVR4nGPgYHjAdAIAA5oBs7ynv90AAAAASUVORK5CYII=";
    expect([...(await decodePng(unpack(file), "t")).data]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1]);
  });
  test("grey saved as RGB and as opaque RGBA", async () => {
    const rgb =
      "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAIAAADUVFKvAAAALklEQVR4nC3EsREAQAQAwcNgdKckdUt88hssgIioqpntLlXV3ZkZEe7O3cF/Zh7MQgu8bDD2yAAAAABJRU5ErkJggg==";
    const rgba =
      "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAYAAABbNsX4AAAAM0lEQVR4nDXFsQ0AMAgEsSOIAjEcK7E15aeIUlg2QGbGt7uczKS7iQjcnaoCSeIlQDOjC3Y9Eaclmw4+AAAAAElFTkSuQmCC";
    for (const file of [rgb, rgba]) expect((await decodePng(unpack(file), "t")).data).toEqual(Uint8Array.from(grey));
  });
  test("colour and transparency are refused", async () => {
    const colour =
      "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAIAAADUVFKvAAAALklEQVR4nC3EsREAQAQAwcNgdKckdUt88hssgIioqpntLlVFd2ZGhLtzd/CfmQfDggtsHS7vHAAAAABJRU5ErkJggg==";
    const clear =
      "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAQAAADxPw1zAAAAKElEQVR4nAXBwREAQAQEwUE5JTshidtnrxswc4+4o3um6r1MJJBg9wNdvgfTvT1lrwAAAABJRU5ErkJggg==";
    await expect(decodePng(unpack(colour), "a.png")).rejects.toThrow("a.png: colour PNG; expected grey values");
    await expect(decodePng(unpack(clear), "a.png")).rejects.toThrow("a.png: PNG with transparent pixels");
  });
});

test("colour by hand: red, green and blue apart; grey in colour is one channel", async () => {
  const rows = [0, 1, 2, 3, 4, 5, 6, 0, 7, 7, 7, 9, 8, 7];
  const channels = await decodePngChannels(png(2, 2, 8, 2, rows), "t");
  expect(channels.map(({ data }) => [...data])).toEqual([
    [1, 4, 7, 9],
    [2, 5, 7, 8],
    [3, 6, 7, 7],
  ]);
  // Opaque RGBA of 16 bits.
  const deep = [0, 1, 0, 2, 0, 3, 0, 255, 255, 0, 1, 0, 1, 0, 1, 255, 255];
  const wide = await decodePngChannels(png(2, 1, 16, 6, deep), "t");
  expect(wide.map(({ data }) => data)).toEqual(
    [
      [256, 1],
      [512, 1],
      [768, 1],
    ].map((pair) => Uint16Array.from(pair)),
  );
  const equal = await decodePngChannels(png(2, 1, 8, 2, [0, 5, 5, 5, 6, 6, 6]), "t");
  expect(equal).toEqual([{ width: 2, height: 1, data: Uint8Array.of(5, 6) }]);
});

test("every row filter, by hand", async () => {
  // biome-ignore format: a row a line
  const rows = [
    0, 10, 20, 30, // none
    1, 5, 1, 1, // sub: 5 6 7
    2, 1, 1, 255, // up: 6 7 6
    3, 2, 3, 4, // average: 5, 3 + (5 + 7 >> 1) = 9, 4 + (9 + 6 >> 1) = 11
    4, 1, 1, 1, // Paeth: 1 + 5 = 6; of 6, 9, 5 nearest to 6 + 9 - 5 = 10 is 9: 10; of 10, 11, 9 nearest to 12 is 11: 12
  ];
  const { data } = await decodePng(png(3, 5, 8, 0, rows), "t");
  expect([...data]).toEqual([10, 20, 30, 5, 6, 7, 6, 7, 6, 5, 9, 11, 6, 10, 12]);
});

test("Paeth's tie between above and corner goes to above", async () => {
  // Left 1, above 7, corner 3: the estimate 5 is 2 from both.
  const { data } = await decodePng(png(2, 2, 8, 0, [0, 3, 7, 4, 254, 0]), "t");
  expect([...data]).toEqual([3, 7, 1, 7]);
});

test("2 and 4 bits a pixel", async () => {
  expect([...(await decodePng(png(3, 1, 2, 0, [0, 0b01_10_11_00]), "t")).data]).toEqual([1, 2, 3]);
  expect([...(await decodePng(png(3, 1, 4, 0, [0, 0x5a, 0xf0]), "t")).data]).toEqual([5, 10, 15]);
});

test("encode and decode: grey and RGB", async () => {
  const noise = random(3);
  const data = Uint8Array.from({ length: 37 * 21 }, () => noise.int(256));
  const file = await encodePng({ width: 37, height: 21, channels: 1, data });
  expect(await decodePng(file, "t")).toEqual({ width: 37, height: 21, data });
  const rgb = Uint8Array.from({ length: 37 * 21 * 3 }, (_, i) => data[Math.floor(i / 3)]);
  const colour = await encodePng({ width: 37, height: 21, channels: 3, data: rgb });
  expect((await decodePng(colour, "t")).data).toEqual(data);
  await expect(encodePng({ width: 3, height: 2, channels: 3, data: new Uint8Array(6) })).rejects.toThrow(
    "3 x 2 pixels of 3 bytes do not fit 6 bytes",
  );
});

describe("bad files are refused in a sentence", () => {
  const refused = (bytes: Uint8Array, sentence: string): Promise<void> =>
    expect(decodePng(bytes, "a.png")).rejects.toThrow(sentence);
  const good = png(2, 2, 8, 0, [0, 1, 2, 0, 3, 4]);
  test("palette, interlaced, impossible headers", async () => {
    await refused(png(2, 1, 8, 3, [0, 1, 2]), "a.png: PNG with a colour palette; expected grey values");
    await refused(png(2, 1, 8, 0, [0, 1, 2], 1), "a.png: interlaced PNG");
    await refused(png(0, 1, 8, 0, []), "a.png: impossible PNG size 0 x 1");
    const vast = "a.png: impossible PNG size, 14720040000 bytes cannot come from";
    await refused(png(46000, 40000, 16, 6, []), vast);
    await refused(png(2, 1, 3, 0, []), "PNG colour type 0 with 3 bits is not in the standard");
    await refused(png(2, 1, 8, 5, []), "PNG colour type 5 with 8 bits is not in the standard");
  });
  test("cut, changed, and other files", async () => {
    await refused(good.subarray(0, good.length - 5), "a.png: PNG file is cut short at byte");
    await refused(good.subarray(0, 20), "a.png: PNG file without its header");
    const changed = good.slice();
    changed[good.length - 20] ^= 1;
    await refused(changed, 'damaged PNG, the checksum of its "IDAT" part is wrong');
    await refused(new TextEncoder().encode("hello, world"), "a.png: not a PNG file");
  });
  test("pixels that do not fit the size, unknown filters", async () => {
    await refused(png(2, 2, 8, 0, [0, 1, 2, 0, 3]), "PNG pixels do not fit its size; expected 6 bytes and found 5");
    await refused(png(2, 2, 8, 0, new Array(1e6).fill(0)), "expected 6 bytes and found more");
    await refused(png(2, 1, 8, 0, [9, 1, 2]), "damaged PNG, row 0 has the unknown filter 9");
  });
});
