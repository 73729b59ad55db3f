import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo } from "./tiles.ts";
import { gradientLine, inputLine, type Line, type LineRegisters, type TileSize } from "./winograd-lines.ts";

/** A strip's tiles, and the walk over the tensor they are cut from. */
export interface TileWalk {
  m: TileSize;
  tilesW: number;
  tileRows: number;
  /** 128-bit vectors of a voxel, which lie behind each other in the tensor. */
  vectors: number;
  rowBytes: number;
  /** Channels of all that is written to a tile, and where these begin in it. */
  channels: number;
  offset: number;
}

/**
 * Bytes from one position's [tile][channel] to the next: an odd number of cache lines, or the (m + 2)^2 positions that a transform writes
 * to in turn would fall into the same few sets of the cache.
 */
export function positionBytes(tiles: number, channels: number): number {
  return (Math.ceil((tiles * channels * 4) / 64) | 1) * 64;
}

/** Bytes that {@link emitTransformedPlane} needs for the rows in between. */
export function rowsBytes(walk: Pick<TileWalk, "m" | "tilesW">, channels: number): number {
  return (walk.m + 2) * (walk.tilesW * walk.m + 2) * channels * 4;
}

/** Locals of the loops over a strip, and the address of the rows in between. */
export interface TransformLoops {
  rows: Local;
  tiles: Local;
  vectors: Local;
  buffer: Local;
  row: Local;
  from: Local;
  to: Local;
  out: Local;
}

export function transformLoops(f: FunctionBuilder): TransformLoops {
  const [rows, tiles, vectors, buffer, row, from, to, out] = Array.from({ length: 8 }, () => f.int());
  return { rows, tiles, vectors, buffer, row, from, to, out };
}

/**
 * Transforms one plane of a strip from the tensor at `from` to [position][tile][channels] at `to`: first along H, every column once though
 * windows overlap, then along W. "input": windows of m + 2 voxels, B' d B; "gradient": tiles of m voxels, A dy A'.
 */
export function emitTransformedPlane(
  f: FunctionBuilder,
  kind: "input" | "gradient",
  walk: TileWalk,
  from: Local,
  to: Local,
  loops: TransformLoops,
  registers: LineRegisters,
): void {
  const { m, vectors } = walk;
  const n = m + 2;
  const line = kind === "input" ? inputLine : gradientLine;
  const columns = walk.tilesW * m + (kind === "input" ? 2 : 0);
  const G = divisorUpTo(vectors, 2);
  const pixel = vectors * 16;
  const bufferRow = columns * pixel;
  const position = positionBytes(walk.tilesW * walk.tileRows, walk.channels);
  /** A line whose values go to `base` bytes behind `put`, `distance` bytes apart. */
  const lineTo = (put: Local, base: number, distance: number, load: Line["load"]): Line => ({
    G,
    load,
    store: (i, push) => {
      for (let g = 0; g < G; g++) {
        f.get(put);
        push(g);
        f.store(base + i * distance + g * 16);
      }
    },
  });
  const { row, from: source, to: target, out } = loops;
  f.copy(from, row).copy(to, out, walk.offset);
  f.repeat(loops.rows, walk.tileRows, () => {
    f.copy(row, source).copy(loops.buffer, target);
    f.repeat(loops.tiles, (columns * vectors) / G, () => {
      const load = (i: number, g: number): unknown => f.get(source).load(i * walk.rowBytes + g * 16);
      line(f, m, registers, lineTo(target, 0, bufferRow, load));
      f.advance(source, G * 16).advance(target, G * 16);
    });
    f.copy(loops.buffer, source);
    f.repeat(loops.tiles, walk.tilesW, () => {
      f.repeat(loops.vectors, vectors / G, () => {
        for (let i = 0; i < n; i++) {
          const load = (j: number, g: number): unknown => f.get(source).load(i * bufferRow + j * pixel + g * 16);
          line(f, m, registers, lineTo(out, i * n * position, position, load));
        }
        f.advance(source, G * 16).advance(out, G * 16);
      });
      f.advance(source, (m - 1) * pixel).advance(out, walk.channels * 4 - pixel);
    });
    f.advance(row, m * walk.rowBytes);
  });
}
