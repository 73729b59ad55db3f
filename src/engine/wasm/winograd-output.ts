import { activate } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import type { WinogradSpec } from "./winograd.ts";
import { type LineRegisters, outputLine } from "./winograd-lines.ts";
import { positionBytes, type TransformLoops } from "./winograd-planes.ts";

/** Bytes of a tile's rows between the two directions of its transform. */
export const outputRowsBytes = ({ m }: Pick<WinogradSpec, "m">): number => m * (m + 2) * 32;

/** A' P A of one channel block, then bias, activation, affine and sums, into the m x m outputs of every tile of the strip. */
export function emitOutputTransform(
  f: FunctionBuilder,
  spec: WinogradSpec,
  at: { products: Local; op: Local; bp: Local; sp: Local },
  loops: TransformLoops,
  registers: LineRegisters,
): void {
  const { m, V } = spec;
  const n = m + 2;
  const G = V === 1 ? 1 : 2;
  const position = positionBytes(spec.tilesW * spec.tileRows, 4 * V);
  const finish = outputFinisher(f, spec, at, G);
  const { from, row, out, buffer } = loops;
  f.copy(at.products, from).copy(at.op, row);
  f.repeat(loops.rows, spec.tileRows, () => {
    f.copy(row, out);
    f.repeat(loops.tiles, spec.tilesW, () => {
      for (let v = 0; v < V; v += G) {
        for (let j = 0; j < n; j++) {
          outputLine(f, m, registers, {
            G,
            load: (i, g) => f.get(from).load((i * n + j) * position + (v + g) * 16),
            store: (i, push) => {
              for (let g = 0; g < G; g++) {
                f.get(buffer);
                push(g);
                f.store(((i * n + j) * G + g) * 16);
              }
            },
          });
        }
        finish.begin(v);
        for (let i = 0; i < m; i++) {
          outputLine(f, m, registers, {
            G,
            load: (j, g) => f.get(buffer).load(((i * n + j) * G + g) * 16),
            store: (j, push) => {
              for (let g = 0; g < G; g++) {
                push(g);
                f.set(finish.y(j, g));
              }
            },
          });
          finish.row(out, i, v);
        }
        finish.end(v);
      }
      f.advance(from, V * 16).advance(out, m * spec.outPixel);
    });
    f.advance(row, m * spec.outRow);
  });
}

/** Bias, activation, affine, store and sums of a tile's outputs, row by row, for vectors v to v + G - 1 of the block. */
function outputFinisher(
  f: FunctionBuilder,
  spec: WinogradSpec,
  at: { bp: Local; sp: Local },
  G: number,
): {
  y(j: number, g: number): Local;
  begin(v: number): void;
  row(out: Local, i: number, v: number): void;
  end(v: number): void;
} {
  const { m } = spec;
  const outputs = f.vectors(m * G);
  const [bias, scale, shift, zero, sum, square] = Array.from({ length: 6 }, () => f.vectors(G));
  const y = (j: number, g: number): Local => outputs[j * G + g];
  const block = spec.vectors * 16;
  const sums = spec.vectors * 64;
  const load = (from: Local, to: Local[], offset: number): void => {
    for (let g = 0; g < G; g++)
      f.get(from)
        .load(offset + g * 16)
        .set(to[g]);
  };
  const each = (visit: (local: Local, g: number, j: number) => void): void => {
    for (let j = 0; j < m; j++) for (let g = 0; g < G; g++) visit(y(j, g), g, j);
  };
  return {
    y,
    begin(v) {
      if (spec.bias) load(at.bp, bias, v * 16);
      if (spec.affine) {
        load(at.bp, scale, block + v * 16);
        load(at.bp, shift, 2 * block + v * 16);
      }
      if (!spec.stats) return;
      load(at.bp, zero, v * 16);
      for (let g = 0; g < G; g++) activate(f, zero[g], spec.slope);
      load(at.sp, sum, sums + v * 16);
      load(at.sp, square, sums + block + v * 16);
    },
    row(out, i, v) {
      if (spec.bias) each((local, g) => f.get(local).get(bias[g]).add().set(local));
      each((local) => activate(f, local, spec.slope));
      if (spec.affine) each((local, g) => f.fmaValue(local, scale[g], shift[g]).set(local));
      each((local, g, j) =>
        f
          .get(out)
          .get(local)
          .store(i * spec.outRow + j * spec.outPixel + (v + g) * 16),
      );
      if (!spec.stats) return;
      each((local, g) => f.get(local).get(zero[g]).sub().set(local));
      each((local, g) => {
        f.get(sum[g]).get(local).add().set(sum[g]);
        f.fma(local, local, square[g]);
      });
    },
    end(v) {
      if (!spec.stats) return;
      const store = (values: Local[], offset: number): void => {
        for (let g = 0; g < G; g++)
          f.get(at.sp)
            .get(values[g])
            .store(offset + g * 16);
      };
      store(sum, sums + v * 16);
      store(square, sums + block + v * 16);
    },
  };
}
