import { fail } from "../util/errors.ts";

/** Packed bytes read piece by piece, so that the caller decides how much memory they may take. */
export interface Inflater {
  /** Fills `target` and returns how many bytes came: fewer than asked for only at the end of the data. */
  read(target: Uint8Array): Promise<number>;
  /** Reads and drops up to `limit` bytes; returns how many came. */
  skip(limit: number): Promise<number>;
  /** Stops unpacking; safe at any time. */
  close(): Promise<void>;
}

/** No deflate stream grows by more than this (zlib's technical notes: 1032 to 1). */
export const MAX_INFLATION = 1032;

const PIECE = 1 << 16;

/**
 * Opens gzip ("gzip"), zlib ("deflate") or bare deflate ("deflate-raw") data. `name` leads the sentence of the UserError that reading damaged or cut
 * data throws; the checksum is checked when the end is reached.
 */
export function inflate(bytes: Uint8Array, format: "gzip" | "deflate" | "deflate-raw", name: string): Inflater {
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  const feed = async (): Promise<void> => {
    for (let at = 0; at < bytes.length; at += PIECE) {
      await writer.write(bytes.subarray(at, at + PIECE) as Uint8Array<ArrayBuffer>);
    }
    await writer.close();
  };
  // Faults of the data come out on the reading side too; here they would only be reported twice.
  feed().catch(() => undefined);
  const reader = stream.readable.getReader();
  let held: Uint8Array = new Uint8Array(0);
  let total = 0;

  /** Up to `limit` bytes, empty at the end. */
  const next = async (limit: number): Promise<Uint8Array> => {
    while (held.length === 0) {
      const piece = await reader
        .read()
        .catch(() =>
          fail(`${name}: compressed data is cut short or damaged after ${total} unpacked bytes; copy the file again.`),
        );
      if (piece.done) return held;
      held = piece.value;
    }
    const part = held.subarray(0, limit);
    held = held.subarray(part.length);
    total += part.length;
    return part;
  };
  const read = async (target: Uint8Array): Promise<number> => {
    let filled = 0;
    while (filled < target.length) {
      const part = await next(target.length - filled);
      if (part.length === 0) break;
      target.set(part, filled);
      filled += part.length;
    }
    return filled;
  };
  const skip = async (limit: number): Promise<number> => {
    let skipped = 0;
    while (skipped < limit) {
      const part = await next(limit - skipped);
      if (part.length === 0) break;
      skipped += part.length;
    }
    return skipped;
  };
  return { read, skip, close: () => reader.cancel().catch(() => undefined) };
}

/** Packs the parts, one after the other, into one gzip or zlib stream. */
export async function deflate(parts: readonly Uint8Array[], format: "gzip" | "deflate"): Promise<Uint8Array> {
  const stream = new CompressionStream(format);
  const writer = stream.writable.getWriter();
  const feed = async (): Promise<void> => {
    for (const part of parts) {
      for (let at = 0; at < part.length; at += PIECE) {
        await writer.write(part.subarray(at, at + PIECE) as Uint8Array<ArrayBuffer>);
      }
    }
    await writer.close();
  };
  const [, packed] = await Promise.all([feed(), new Response(stream.readable).arrayBuffer()]);
  return new Uint8Array(packed);
}
