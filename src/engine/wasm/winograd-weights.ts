import type { FunctionBuilder, Local } from "./emit.ts";
import { filterRows, positionsOf, type TileSize } from "./winograd-lines.ts";

/** The packed weights of one convolution and their transformed form [channel block][position][kd][input channel][4 V]. */
export interface WinogradWeights {
  m: TileSize;
  kd: number;
  V: number;
  /** Floats of a channel block of the packed weights; a source's offset in it and the channels it holds. */
  blockFloats: number;
  sources: { offset: number; channels: number }[];
}

const channelsOf = (spec: WinogradWeights): number => spec.sources.reduce((sum, source) => sum + source.channels, 0);

/** Floats of one transformed channel block. */
export function transformedBlockFloats(spec: WinogradWeights): number {
  return positionsOf(spec.m) * spec.kd * channelsOf(spec) * 4 * spec.V;
}

/** Visits (kd, channel, vector pair) of every block: `packed` at tap (0, 0), `transformed` at position 0; strides in bytes. */
function emitWeightWalk(
  f: FunctionBuilder,
  spec: WinogradWeights,
  pointers: { packed: Local; transformed: Local; blocks: Local },
  body: (at: { packed: Local; transformed: Local; tap: number; position: number; G: number }) => void,
): void {
  const row = 16 * spec.V;
  const channels = channelsOf(spec);
  const position = spec.kd * channels * row;
  const G = spec.V === 1 ? 1 : 2;
  const [blocks, count, vectors, packed, transformed] = [f.int(), f.int(), f.int(), f.int(), f.int()];
  f.repeat(blocks, { local: pointers.blocks }, () => {
    let before = 0;
    for (const source of spec.sources) {
      const tap = source.channels * row;
      for (let k = 0; k < spec.kd; k++) {
        f.copy(pointers.packed, packed, source.offset * 4 + k * 9 * tap);
        f.copy(pointers.transformed, transformed, (k * channels + before) * row);
        f.repeat(count, source.channels, () => {
          f.repeat(vectors, spec.V / G, () => {
            body({ packed, transformed, tap, position, G });
            f.advance(packed, G * 16).advance(transformed, G * 16);
          });
        });
      }
      before += source.channels;
    }
    f.advance(pointers.packed, spec.blockFloats * 4).advance(pointers.transformed, positionsOf(spec.m) * position);
  });
}

/** Pushes the sum of coefficients times values; at least one coefficient is not 0. */
function combine(f: FunctionBuilder, coefficients: readonly number[], push: (index: number) => void): void {
  let first = true;
  coefficients.forEach((coefficient, index) => {
    if (coefficient === 0) return;
    push(index);
    if (coefficient !== 1) f.splatConst(coefficient).mul();
    if (!first) f.add();
    first = false;
  });
}

/** U = G g G'. Arguments: packed weights, transformed weights, channel blocks. */
export function emitWeightTransform(f: FunctionBuilder, spec: WinogradWeights): void {
  const r = f.vectors(6);
  const rows = filterRows[spec.m];
  emitWeightWalk(f, spec, { packed: 0, transformed: 1, blocks: 2 }, ({ packed, transformed, tap, position, G }) => {
    rows.forEach((row, i) => {
      for (let kw = 0; kw < 3; kw++) {
        for (let g = 0; g < G; g++) {
          combine(f, row, (kh) => f.get(packed).load((kh * 3 + kw) * tap + g * 16));
          f.set(r[kw * G + g]);
        }
      }
      rows.forEach((column, j) => {
        for (let g = 0; g < G; g++) {
          f.get(transformed);
          combine(f, column, (kw) => f.get(r[kw * G + g]));
          f.store((i * rows.length + j) * position + g * 16);
        }
      });
    });
  });
}

/** g = G' U G: the weight gradient back in packed form. Arguments: packed gradient, transformed gradient, channel blocks. */
export function emitWeightGradientTransform(f: FunctionBuilder, spec: WinogradWeights): void {
  const rows = filterRows[spec.m];
  const n = rows.length;
  const columns = [0, 1, 2].map((k) => rows.map((row) => row[k]));
  const r = f.vectors(2 * n);
  emitWeightWalk(f, spec, { packed: 0, transformed: 1, blocks: 2 }, ({ packed, transformed, tap, position, G }) => {
    columns.forEach((column, kh) => {
      for (let j = 0; j < n; j++) {
        for (let g = 0; g < G; g++) {
          combine(f, column, (i) => f.get(transformed).load((i * n + j) * position + g * 16));
          f.set(r[j * G + g]);
        }
      }
      columns.forEach((row, kw) => {
        for (let g = 0; g < G; g++) {
          f.get(packed);
          combine(f, row, (j) => f.get(r[j * G + g]));
          f.store((kh * 3 + kw) * tap + g * 16);
        }
      });
    });
  });
}
