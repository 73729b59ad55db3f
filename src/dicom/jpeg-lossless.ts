import { fail } from "../util/errors.ts";

/** Codes of one Huffman table (ITU T.81, annex C): by length, the first code, the number of codes and where their values start. */
interface HuffmanTable {
  first: Int32Array;
  count: Uint8Array;
  start: Int32Array;
  values: Uint8Array;
}

interface Scan {
  width: number;
  height: number;
  precision: number;
  predictor: number;
  pointTransform: number;
  /** Samples between restart markers, 0 for none. */
  restart: number;
  table: HuffmanTable;
  /** First byte of the coded samples. */
  at: number;
}

/**
 * Decodes a lossless JPEG picture of one component (ITU T.81, process 14, any of its seven predictors: DICOM's 1.2.840.10008.1.2.4.57
 * and .70). UserError for data that is damaged, of another process, or not `width` x `height`.
 */
export function decodeJpegLossless(bytes: Uint8Array, width: number, height: number, name: string): Uint16Array {
  const scan = readMarkers(bytes, name);
  if (scan.width !== width || scan.height !== height) {
    fail(`${name}: JPEG picture of ${scan.width} x ${scan.height} pixels; expected ${width} x ${height}.`);
  }
  const out = new Uint16Array(width * height);
  const { table, predictor, pointTransform, restart } = scan;
  if (restart % width !== 0)
    fail(`${name}: JPEG restarts within a line (every ${restart} samples); the file is damaged.`);
  let at = scan.at;
  let bits = 0; // the low `held` bits are still to be read
  let held = 0;
  let ended = false;

  const bit = (): number => {
    if (held === 0) {
      let byte = bytes[at];
      if (byte === 0xff && bytes[at + 1] === 0) at += 2;
      else if (byte === undefined || byte === 0xff) {
        if (ended) fail(`${name}: JPEG data ends too early; the file is cut short or damaged.`);
        ended = true; // one byte of ones closes the last code
        byte = 0xff;
      } else at++;
      bits = byte;
      held = 8;
    }
    held--;
    return (bits >> held) & 1;
  };
  const difference = (): number => {
    let code = 0;
    for (let length = 1; length <= 16; length++) {
      code = (code << 1) | bit();
      const index = code - table.first[length];
      if (index < table.count[length] && index >= 0) {
        const size = table.values[table.start[length] + index];
        if (size === 0) return 0;
        if (size === 16) return 32768;
        let value = 0;
        for (let i = 0; i < size; i++) value = (value << 1) | bit();
        return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
      }
    }
    return fail(`${name}: JPEG data with an unknown code; the file is damaged.`);
  };

  const origin = 1 << (scan.precision - pointTransform - 1);
  let fresh = 0; // first sample since the start or a restart
  for (let i = 0; i < out.length; i++) {
    if (restart > 0 && i > 0 && i % restart === 0) {
      held = 0;
      ended = false;
      if (bytes[at] !== 0xff || (bytes[at + 1] & 0xf8) !== 0xd0) fail(`${name}: JPEG restart marker is missing.`);
      at += 2;
      fresh = i;
    }
    const x = i % width;
    const firstLine = i - fresh < width;
    const left = out[i - 1];
    const up = out[i - width];
    const corner = out[i - width - 1];
    let predicted: number;
    if (i === fresh) predicted = origin;
    else if (firstLine) predicted = left;
    else if (x === 0) predicted = up;
    else if (predictor === 1) predicted = left;
    else if (predictor === 2) predicted = up;
    else if (predictor === 3) predicted = corner;
    else if (predictor === 4) predicted = left + up - corner;
    else if (predictor === 5) predicted = left + ((up - corner) >> 1);
    else if (predictor === 6) predicted = up + ((left - corner) >> 1);
    else predicted = (left + up) >> 1;
    out[i] = predicted + difference(); // modulo 2^16, as the standard has it
  }
  if (pointTransform > 0) for (let i = 0; i < out.length; i++) out[i] <<= pointTransform;
  return out;
}

/** Reads the markers up to the start of the coded samples. */
function readMarkers(bytes: Uint8Array, name: string): Scan {
  const damaged = (): never => fail(`${name}: damaged JPEG header; copy the file again.`);
  const tables = new Map<number, HuffmanTable>();
  const scan = { width: 0, height: 0, precision: 0, restart: 0 };
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) damaged();
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) damaged();
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    const part = bytes.subarray(at + 4, at + 2 + length);
    if (length < 2 || at + 2 + length > bytes.length) damaged();
    if (marker === 0xc4) readTables(part, tables, damaged);
    else if (marker === 0xdd) scan.restart = (part[0] << 8) | part[1];
    else if (marker === 0xc3) {
      scan.precision = part[0];
      scan.height = (part[1] << 8) | part[2];
      scan.width = (part[3] << 8) | part[4];
      if (part[5] !== 1) fail(`${name}: JPEG picture of ${part[5]} components; expected grey values.`);
    } else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      fail(`${name}: JPEG of another process (SOF${marker - 0xc0}) than the transfer syntax says (lossless, SOF3).`);
    } else if (marker === 0xda) {
      const table = tables.get(part[2] >> 4);
      const predictor = part[3];
      const pointTransform = part[5] & 15;
      if (!table || scan.width === 0 || predictor < 1 || predictor > 7) return damaged();
      if (scan.precision < 2 || scan.precision > 16 || pointTransform >= scan.precision) return damaged();
      return { ...scan, predictor, pointTransform, table, at: at + 2 + length };
    }
    at += 2 + length;
  }
  return damaged();
}

function readTables(part: Uint8Array, tables: Map<number, HuffmanTable>, damaged: () => never): void {
  for (let at = 0; at + 17 <= part.length; ) {
    const count = new Uint8Array(17);
    count.set(part.subarray(at + 1, at + 17), 1);
    const first = new Int32Array(17);
    const start = new Int32Array(17);
    let [code, total] = [0, 0];
    for (let length = 1; length <= 16; length++) {
      first[length] = code;
      start[length] = total;
      total += count[length];
      code = (code + count[length]) << 1;
    }
    const values = part.slice(at + 17, at + 17 + total);
    if (values.length < total || values.some((size) => size > 16)) damaged();
    tables.set(part[at] & 15, { first, count, start, values });
    at += 17 + total;
  }
}
