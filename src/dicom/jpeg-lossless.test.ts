import { describe, expect, test } from "vitest";
import { random } from "../util/random.ts";
import { decodeJpegLossless } from "./jpeg-lossless.ts";

/** Writes a lossless JPEG by ITU T.81 annex H with one fixed table: category n has the 5-bit code n. */
function encode(
  values: number[],
  width: number,
  precision: number,
  predictor: number,
  lines = 0,
  shift = 0,
): Uint8Array {
  const height = values.length / width;
  const bits: number[] = [];
  const out: number[] = [];
  const push = (value: number, count: number): void => {
    for (let i = count - 1; i >= 0; i--) bits.push((value >> i) & 1);
  };
  const flush = (): void => {
    while (bits.length % 8) bits.push(1);
    for (let i = 0; i < bits.length; i += 8) {
      const byte = Number.parseInt(bits.slice(i, i + 8).join(""), 2);
      out.push(byte, ...(byte === 255 ? [0] : []));
    }
    bits.length = 0;
  };
  const v = values.map((value) => value >> shift);
  for (let i = 0; i < v.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const start = lines > 0 ? y % lines === 0 : y === 0;
    if (start && x === 0 && y > 0) {
      flush();
      out.push(0xff, 0xd0 + ((y / lines - 1) & 7));
    }
    const [a, b, c] = [v[i - 1], v[i - width], v[i - width - 1]];
    const rules = [0, a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1];
    const predicted = start ? (x === 0 ? 1 << (precision - shift - 1) : a) : x === 0 ? b : rules[predictor];
    let difference = (v[i] - predicted) & 0xffff;
    if (difference > 32768) difference -= 65536;
    const size = difference === 32768 ? 16 : 32 - Math.clz32(Math.abs(difference));
    push(size, 5);
    if (size > 0 && size < 16) push(difference > 0 ? difference : difference + (1 << size) - 1, size);
  }
  flush();
  const word = (n: number): number[] => [n >> 8, n & 255];
  const table = [
    ...new Array(16).fill(0).map((_, i) => (i === 4 ? 17 : 0)),
    ...Array.from({ length: 17 }, (_, i) => i),
  ];
  return Uint8Array.from([
    ...[0xff, 0xd8, 0xff, 0xc3, 0, 11, precision, ...word(height), ...word(width), 1, 1, 0x11, 0],
    ...[0xff, 0xc4, ...word(3 + table.length), 0, ...table],
    ...(lines > 0 ? [0xff, 0xdd, 0, 4, ...word(lines * width)] : []),
    ...[0xff, 0xda, 0, 8, 1, 1, 0, predictor, 0, shift],
    ...[...out, 0xff, 0xd9],
  ]);
}

const noise = (count: number, precision: number): number[] => {
  const r = random(precision);
  return Array.from({ length: count }, () => r.int(2 ** precision));
};

describe("pictures written by the standard come back", () => {
  test.each([1, 2, 3, 4, 5, 6, 7])("predictor %i at 2, 8, 12 and 16 bits", (predictor) => {
    for (const precision of [2, 8, 12, 16]) {
      const values = noise(7 * 5, precision);
      expect([...decodeJpegLossless(encode(values, 7, precision, predictor), 7, 5, "t")]).toEqual(values);
    }
  });
  test("restart markers, the point transform, and the difference of 32768", () => {
    const values = noise(6 * 8, 12);
    expect([...decodeJpegLossless(encode(values, 6, 12, 4, 2), 6, 8, "t")]).toEqual(values);
    const shifted = decodeJpegLossless(encode(values, 6, 12, 1, 0, 3), 6, 8, "t");
    expect([...shifted]).toEqual(values.map((value) => value & ~7));
    const far = [0, 32768, 0, 65535, 1, 32769];
    expect([...decodeJpegLossless(encode(far, 3, 16, 1), 3, 2, "t")]).toEqual(far);
  });
});

test("damaged, foreign and other-sized pictures are refused in a sentence", () => {
  const sound = encode(noise(35, 8), 7, 8, 1);
  const refused = (bytes: Uint8Array, sentence: string): void =>
    expect(() => decodeJpegLossless(bytes, 7, 5, "a.dcm")).toThrow(sentence);
  refused(sound.subarray(0, sound.length - 12), "a.dcm: JPEG data ends too early; the file is cut short or damaged.");
  refused(sound.subarray(0, 30), "a.dcm: damaged JPEG header; copy the file again.");
  refused(encode(noise(35, 8), 5, 8, 1), "a.dcm: JPEG picture of 5 x 7 pixels; expected 7 x 5.");
  const baseline = sound.slice();
  baseline[3] = 0xc0;
  refused(baseline, "JPEG of another process (SOF0) than the transfer syntax says");
});
