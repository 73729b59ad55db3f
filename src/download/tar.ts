import { fail } from "../util/errors.ts";

/** A file or folder of an archive, as its header says; the path is not to be trusted. */
export interface TarEntry {
  path: string;
  kind: "file" | "folder";
  /** Bytes of the file. */
  size: number;
}

/** Called with each entry; `body` gives the file's bytes and may be left unread. */
export type TarVisitor = (entry: TarEntry, body: AsyncIterable<Uint8Array>) => Promise<void>;

const BLOCK = 512;
/** Long names and pax records beyond this are no names. */
const MAX_EXTENSION = 1 << 20;

/** What else the type flag may say (POSIX.1-2008, pax interchange format; GNU tar manual): none of it belongs into a data set. */
const refused: Record<string, string> = {
  "1": "a hard link",
  "2": "a symbolic link",
  "3": "a character device",
  "4": "a block device",
  "6": "a named pipe",
  S: "a sparse file",
};

/**
 * Reads a tar archive (ustar, pax, GNU long names) as a stream, entry after entry. Throws a UserError that begins with `name` for an
 * archive that is damaged or cut short, and for links, devices and other entries that are neither files nor folders.
 */
export async function readTar(source: AsyncIterable<Uint8Array>, name: string, visit: TarVisitor): Promise<void> {
  const input = bytesOf(source);
  let all: Record<string, string> = {};
  let next: Record<string, string> = {};
  for (;;) {
    const block = await input.take(BLOCK);
    if (block.length < BLOCK) fail(`${name}: the archive is cut short, its end mark is missing; get it again.`);
    if (block.every((byte) => byte === 0)) break;
    checkSum(block, name);
    const header = headerOf(block, name);
    if ("xgLK".includes(header.type)) {
      if (header.size > MAX_EXTENSION) fail(`${name}: ${header.size} bytes for a name; the archive is damaged.`);
      const bytes = await input.take(header.size);
      await input.drop(padding(header.size));
      if (header.type === "L") next.path = text(bytes);
      else if (header.type === "x") next = { ...next, ...paxRecords(bytes, name) };
      else if (header.type === "g") all = { ...all, ...paxRecords(bytes, name) };
      continue;
    }
    const said = { ...all, ...next };
    next = {};
    const path = said.path ?? header.path;
    const unfit = Object.keys(said).some((key) => key.startsWith("GNU.sparse")) ? refused.S : refused[header.type];
    if (unfit || !["\0", "0", "5", "7"].includes(header.type)) {
      fail(
        `${name}: ${JSON.stringify(path)} is ${unfit ?? `an entry of type ${JSON.stringify(header.type)}`}; expected files and ` +
          "folders alone, so nothing of the archive is kept.",
      );
    }
    const folder = header.type === "5" || (header.type !== "7" && path.endsWith("/"));
    const size = folder ? 0 : said.size === undefined ? header.size : decimal(said.size, name);
    const body = input.pieces(size, () =>
      fail(`${name}: the archive is cut short within ${JSON.stringify(path)}; get it again.`),
    );
    await visit({ path, kind: folder ? "folder" : "file", size }, body);
    for await (const _ of body); // what the visitor left
    await input.drop(padding(size));
  }
  await input.end();
}

const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** Text up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function headerOf(block: Uint8Array, name: string): { path: string; size: number; type: string } {
  const field = (from: number, length: number): string => text(block.subarray(from, from + length));
  // GNU's own form has "ustar  " here and other fields in the prefix's place.
  const prefix = field(257, 6) === "ustar" && block[263] === 48 ? field(345, 155) : "";
  const path = prefix === "" ? field(0, 100) : `${prefix}/${field(0, 100)}`;
  return { path, size: numberOf(block.subarray(124, 136), name), type: String.fromCharCode(block[156]) };
}

/** Octal digits, or GNU's base 256 where the first bit is set. */
function numberOf(bytes: Uint8Array, name: string): number {
  if (bytes[0] === 0x80) {
    const value = bytes.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : fail(`${name}: a file of ${value} bytes; the archive is damaged.`);
  }
  const digits = text(bytes).trim();
  if (!/^[0-7]*$/.test(digits)) fail(`${name}: damaged archive, ${JSON.stringify(digits)} is no size.`);
  return Number.parseInt(digits || "0", 8);
}

/** The sum of the header's bytes with its own field taken as spaces. */
function checkSum(block: Uint8Array, name: string): void {
  let sum = 8 * 32;
  for (const [i, byte] of block.entries()) if (i < 148 || i >= 156) sum += byte;
  if (!new RegExp(`^0*${sum.toString(8)}$`).test(text(block.subarray(148, 156)).trim())) {
    fail(`${name}: not a tar archive, or a damaged one: the checksum of a header is wrong; get it again.`);
  }
}

function decimal(digits: string, name: string): number {
  const value = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(value)) {
    fail(`${name}: damaged archive, ${JSON.stringify(digits.slice(0, 40))} is no size.`);
  }
  return value;
}

/** "LENGTH key=value\n" records, their own length counted. */
function paxRecords(bytes: Uint8Array, name: string): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(32, at);
    const length = Number(new TextDecoder().decode(bytes.subarray(at, space)));
    const end = at + length;
    const record = new TextDecoder().decode(bytes.subarray(space + 1, end));
    const equals = record.indexOf("=");
    if (space < 0 || !(length > space - at) || end > bytes.length || equals < 1 || !record.endsWith("\n")) {
      return fail(`${name}: damaged archive, a pax record at byte ${at} of its header cannot be read.`);
    }
    records[record.slice(0, equals)] = record.slice(equals + 1, -1);
    at = end;
  }
  return records;
}

/** A stream of pieces read by counts of bytes. */
function bytesOf(source: AsyncIterable<Uint8Array>) {
  const iterator = source[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array(0);

  /** Up to `limit` bytes that are next; none at the end. */
  const next = async (limit: number): Promise<Uint8Array> => {
    while (held.length === 0) {
      const piece = await iterator.next();
      if (piece.done) return held;
      held = piece.value;
    }
    const part = held.subarray(0, limit);
    held = held.subarray(part.length);
    return part;
  };
  /** `count` bytes, fewer at the end. */
  const take = async (count: number): Promise<Uint8Array> => {
    const out = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const part = await next(count - filled);
      if (part.length === 0) return out.subarray(0, filled);
      out.set(part, filled);
      filled += part.length;
    }
    return out;
  };
  async function* pieces(count: number, cut: () => never): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0; ) {
      const part = await next(left);
      if (part.length === 0) cut();
      left -= part.length;
      yield part;
    }
  }
  return {
    take,
    pieces: (count: number, cut: () => never): AsyncIterable<Uint8Array> => {
      // One generator however often it is asked for, so that what is left can be read after a visitor has stopped.
      const generator = pieces(count, cut);
      return { [Symbol.asyncIterator]: () => ({ next: () => generator.next() }) };
    },
    drop: async (count: number): Promise<void> => {
      await take(count);
    },
    /** Reads on to the end, so that a packed stream's own checksum is checked. */
    end: async (): Promise<void> => {
      while ((await next(1 << 20)).length > 0);
    },
  };
}
