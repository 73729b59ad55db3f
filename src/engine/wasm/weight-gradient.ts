import type { SourceWalk } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";

export interface WeightGradientSpec {
  /** Positions in a row, and rows summed in registers before one addition to memory (divides every row range). */
  width: number;
  rowsPerFlush: number;
  /** The convolution's input, walked as in the forward kernel. */
  source: SourceWalk;
  V: number;
  gradPixel: number;
  gradRow: number;
  gradPlane: number;
  /** Bytes of one channel block of the packed weights (all sources). */
  blockBytes: number;
}

/** Rows to sum in registers: about 256 positions. */
export function flushRows(width: number, height: number): number {
  return divisorUpTo(height, Math.max(1, 256 / width));
}

/**
 * Emits dW += sum over positions of x (outer) dy, in the packed layout of the forward weights.
 * Arguments: input address, output-gradient address, dW address (of this source), planes, row groups, channel blocks.
 * A register tile is T weight rows (tap, input channel) x V vectors of output channels.
 */
export function emitWeightGradient(f: FunctionBuilder, spec: WeightGradientSpec, tiles: TileChoice): void {
  const [X, DY, DW, PLANES, ROWS, BLOCKS] = [0, 1, 2, 3, 4, 5];
  const { V, source } = spec;
  const most = tileRows(V, tiles, "weightGradient");
  const contiguous = source.chunks === 1;
  const run = source.steps;
  // Few input channels: rows of the kernel join one tile, so that enough sums are in flight.
  const joinRows = contiguous && source.kh > 1 && run * source.kh <= most;
  const entries = joinRows ? run * source.kh : run;
  const offsets = Array.from({ length: entries }, (_, e) => Math.floor(e / run) * source.tapRow + (e % run) * 4);
  const parts = evenParts(entries, most);
  const T = parts[0].size;
  const U = divisorUpTo(spec.width, 4);
  const rowBytes = 4 * V * 4;

  const [planeCount, rowCount, blockCount, tileCount] = [f.int(), f.int(), f.int(), f.int()];
  const [kdCount, khCount, chunkCount, r, c] = [f.int(), f.int(), f.int(), f.int(), f.int()];
  const [xRow, xTap, x, dyRow, dyBlock, dy, dw, dwTile] = Array.from({ length: 8 }, () => f.int());
  const acc: Local[][] = Array.from({ length: T }, () => f.vectors(V));
  const grad = f.vectors(V);
  const splat = f.vector();

  /** One tile of `size` weight rows at xTap, all channel blocks. */
  const tile = (size: number, first: number): void => {
    f.copy(dyRow, dyBlock).copy(dw, dwTile);
    f.repeat(blockCount, { local: BLOCKS }, () => {
      for (let t = 0; t < size; t++) for (let v = 0; v < V; v++) f.zero().set(acc[t][v]);
      f.copy(xTap, x).copy(dyBlock, dy);
      f.repeat(r, spec.rowsPerFlush, () => {
        f.repeat(c, spec.width / U, () => {
          for (let u = 0; u < U; u++) {
            for (let v = 0; v < V; v++)
              f.get(dy)
                .load(u * spec.gradPixel + v * 16)
                .set(grad[v]);
            for (let t = 0; t < size; t++) {
              f.get(x)
                .loadSplat(u * source.stepPixel + offsets[first + t])
                .set(splat);
              for (let v = 0; v < V; v++) f.fma(splat, grad[v], acc[t][v]);
            }
          }
          f.advance(x, U * source.stepPixel).advance(dy, U * spec.gradPixel);
        });
        f.advance(x, source.stepRow - spec.width * source.stepPixel);
        f.advance(dy, spec.gradRow - spec.width * spec.gradPixel);
      });
      for (let t = 0; t < size; t++) {
        for (let v = 0; v < V; v++)
          f.get(dwTile)
            .load((t * V + v) * 16)
            .get(acc[t][v])
            .add()
            .set(acc[t][v]);
      }
      for (let t = 0; t < size; t++) {
        for (let v = 0; v < V; v++)
          f.get(dwTile)
            .get(acc[t][v])
            .store((t * V + v) * 16);
      }
      f.advance(dwTile, spec.blockBytes).advance(dyBlock, rowBytes);
    });
  };

  /** All tiles of the entries at xTap; afterwards dw and xTap stand behind them. */
  const tilesOfRun = (): void => {
    if (joinRows) {
      let first = 0;
      for (const { count, size } of parts) {
        for (let i = 0; i < count; i++) {
          tile(size, first);
          f.advance(dw, size * rowBytes);
          first += size;
        }
      }
      return;
    }
    for (const { count, size } of parts) {
      f.repeat(tileCount, count, () => {
        tile(size, 0);
        f.advance(dw, size * rowBytes).advance(xTap, size * 4);
      });
    }
  };

  f.repeat(planeCount, { local: PLANES }, () => {
    f.copy(X, xRow).copy(DY, dyRow);
    f.repeat(rowCount, { local: ROWS }, () => {
      f.copy(DW, dw).copy(xRow, xTap);
      f.repeat(kdCount, source.kd, () => {
        if (joinRows) {
          tilesOfRun();
          f.advance(xTap, source.tapPlane);
        } else {
          f.repeat(khCount, source.kh, () => {
            if (contiguous) {
              tilesOfRun();
              f.advance(xTap, source.tapRow - run * 4);
            } else {
              f.repeat(chunkCount, source.chunks, () => {
                tilesOfRun();
                f.advance(xTap, source.chunkAdvance - run * 4);
              });
              f.advance(xTap, source.tapRow - source.chunks * source.chunkAdvance);
            }
          });
          f.advance(xTap, source.tapPlane - source.kh * source.tapRow);
        }
      });
      f.advance(xRow, spec.rowsPerFlush * source.stepRow).advance(dyRow, spec.rowsPerFlush * spec.gradRow);
    });
    f.advance(X, source.stepPlane).advance(DY, spec.gradPlane);
  });
}
