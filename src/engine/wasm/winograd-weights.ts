import type { FunctionBuilder, Local } from "./emit.ts";

/** The packed weights of one convolution and their transformed form [channel block][position][kd][input channel][4 V]. */
export interface WinogradWeights {
  kd: number;
  V: number;
  /** Floats of a channel block of the packed weights; a source's offset in it and the channels it holds. */
  blockFloats: number;
  sources: { offset: number; channels: number }[];
}

const channelsOf = (spec: WinogradWeights): number => spec.sources.reduce((sum, source) => sum + source.channels, 0);

/** Floats of one transformed channel block. */
export function transformedBlockFloats(spec: WinogradWeights): number {
  return 16 * spec.kd * channelsOf(spec) * 4 * spec.V;
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
    f.advance(pointers.packed, spec.blockFloats * 4).advance(pointers.transformed, 16 * position);
  });
}

/** U = G g G'. Arguments: packed weights, transformed weights, channel blocks. */
export function emitWeightTransform(f: FunctionBuilder, spec: WinogradWeights): void {
  const r = f.vectors(6);
  const half = f.vector();
  f.splatConst(0.5).set(half);
  emitWeightWalk(f, spec, { packed: 0, transformed: 1, blocks: 2 }, ({ packed, transformed, tap, position, G }) => {
    const weight = (kh: number, kw: number, g: number): FunctionBuilder =>
      f.get(packed).load((kh * 3 + kw) * tap + g * 16);
    for (let i = 0; i < 4; i++) {
      for (let kw = 0; kw < 3; kw++) {
        for (let g = 0; g < G; g++) {
          if (i === 0) weight(0, kw, g);
          else if (i === 3) weight(2, kw, g);
          else {
            weight(0, kw, g);
            weight(2, kw, g).add();
            weight(1, kw, g);
            (i === 1 ? f.add() : f.sub()).get(half).mul();
          }
          f.set(r[kw * G + g]);
        }
      }
      for (let j = 0; j < 4; j++) {
        for (let g = 0; g < G; g++) {
          f.get(transformed);
          if (j === 0) f.get(r[g]);
          else if (j === 3) f.get(r[2 * G + g]);
          else {
            f.get(r[g])
              .get(r[2 * G + g])
              .add()
              .get(r[G + g]);
            (j === 1 ? f.add() : f.sub()).get(half).mul();
          }
          f.store((i * 4 + j) * position + g * 16);
        }
      }
    }
  });
}

/** g = G' U G: the weight gradient back in packed form. Arguments: packed gradient, transformed gradient, channel blocks. */
export function emitWeightGradientTransform(f: FunctionBuilder, spec: WinogradWeights): void {
  const r = f.vectors(8);
  const half = f.vector();
  f.splatConst(0.5).set(half);
  emitWeightWalk(f, spec, { packed: 0, transformed: 1, blocks: 2 }, ({ packed, transformed, tap, position, G }) => {
    const value = (i: number, j: number, g: number): FunctionBuilder =>
      f.get(transformed).load((i * 4 + j) * position + g * 16);
    for (let kh = 0; kh < 3; kh++) {
      for (let j = 0; j < 4; j++) {
        for (let g = 0; g < G; g++) {
          value(1, j, g);
          value(2, j, g);
          (kh === 1 ? f.sub() : f.add()).get(half).mul();
          if (kh === 0) value(0, j, g).add();
          if (kh === 2) value(3, j, g).add();
          f.set(r[j * G + g]);
        }
      }
      for (let kw = 0; kw < 3; kw++) {
        for (let g = 0; g < G; g++) {
          f.get(packed)
            .get(r[G + g])
            .get(r[2 * G + g]);
          (kw === 1 ? f.sub() : f.add()).get(half).mul();
          if (kw === 0) f.get(r[g]).add();
          if (kw === 2) f.get(r[3 * G + g]).add();
          f.store((kh * 3 + kw) * tap + g * 16);
        }
      }
    }
  });
}
