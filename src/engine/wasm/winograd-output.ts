import { activate } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import type { TransformLoops, WinogradSpec } from "./winograd.ts";

/** A' M A of one channel block, then bias, activation, affine and sums, into the 2x2 outputs of every tile of the strip. */
export function emitOutputTransform(
  f: FunctionBuilder,
  spec: WinogradSpec,
  at: { products: Local; op: Local; bp: Local; sp: Local },
  loops: TransformLoops,
  t: Local[],
): void {
  const { V } = spec;
  const G = V === 1 ? 1 : 2;
  const position = spec.tilesW * spec.tileRows * V * 16;
  const [m, row, out] = [f.int(), f.int(), f.int()];
  const r = (j: number, g: number): Local => t[j * G + g];
  const y = (i: number, j: number, g: number): Local => t[4 * G + (i * 2 + j) * G + g];
  const product = (i: number, j: number, v: number): FunctionBuilder => f.get(m).load((i * 4 + j) * position + v * 16);
  f.copy(at.products, m).copy(at.op, row);
  f.repeat(loops.rows, spec.tileRows, () => {
    f.copy(row, out);
    f.repeat(loops.tiles, spec.tilesW, () => {
      for (let v = 0; v < V; v += G) {
        for (let i = 0; i < 2; i++) {
          for (let j = 0; j < 4; j++) {
            for (let g = 0; g < G; g++) {
              product(i, j, v + g);
              product(i + 1, j, v + g);
              (i === 0 ? f.add() : f.sub()).set(r(j, g));
            }
          }
          for (let j = 0; j < 4; j++) {
            for (let g = 0; g < G; g++) {
              f.get(r(j, g));
              product(i + 2, j, v + g);
              (i === 0 ? f.add() : f.sub()).set(r(j, g));
            }
          }
          for (let g = 0; g < G; g++)
            f.get(r(0, g))
              .get(r(1, g))
              .add()
              .get(r(2, g))
              .add()
              .set(y(i, 0, g));
          for (let g = 0; g < G; g++)
            f.get(r(1, g))
              .get(r(2, g))
              .sub()
              .get(r(3, g))
              .sub()
              .set(y(i, 1, g));
        }
        finishOutputs(f, spec, { ...at, out }, v, G, y, t);
      }
      f.advance(m, V * 16).advance(out, 2 * spec.outPixel);
    });
    f.advance(row, 2 * spec.outRow);
  });
}

/** Bias, activation, affine, store and sums of the four outputs of vectors v to v + G - 1. */
function finishOutputs(
  f: FunctionBuilder,
  spec: WinogradSpec,
  at: { out: Local; bp: Local; sp: Local },
  v: number,
  G: number,
  y: (i: number, j: number, g: number) => Local,
  t: Local[],
): void {
  const [first, second] = [(g: number): Local => t[g], (g: number): Local => t[G + g]];
  const each = (visit: (local: Local, g: number, i: number, j: number) => void): void => {
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 2; j++) for (let g = 0; g < G; g++) visit(y(i, j, g), g, i, j);
    }
  };
  if (spec.bias) {
    for (let g = 0; g < G; g++)
      f.get(at.bp)
        .load((v + g) * 16)
        .set(first(g));
    each((local, g) => f.get(local).get(first(g)).add().set(local));
  }
  each((local) => activate(f, local, spec.slope));
  if (spec.affine) {
    const block = spec.vectors * 16;
    for (let g = 0; g < G; g++)
      f.get(at.bp)
        .load(block + (v + g) * 16)
        .set(first(g));
    for (let g = 0; g < G; g++)
      f.get(at.bp)
        .load(2 * block + (v + g) * 16)
        .set(second(g));
    each((local, g) => f.fmaValue(local, first(g), second(g)).set(local));
  }
  each((local, g, i, j) =>
    f
      .get(at.out)
      .get(local)
      .store(i * spec.outRow + j * spec.outPixel + (v + g) * 16),
  );
  if (!spec.stats) return;
  const sums = spec.vectors * 64;
  for (let g = 0; g < G; g++) {
    f.get(at.bp)
      .load((v + g) * 16)
      .set(first(g));
    activate(f, first(g), spec.slope);
  }
  each((local, g) => f.get(local).get(first(g)).sub().set(local));
  for (let g = 0; g < G; g++)
    f.get(at.sp)
      .load(sums + (v + g) * 16)
      .set(first(g));
  for (let g = 0; g < G; g++)
    f.get(at.sp)
      .load(sums + spec.vectors * 16 + (v + g) * 16)
      .set(second(g));
  each((local, g) => {
    f.get(first(g)).get(local).add().set(first(g));
    f.fma(local, local, second(g));
  });
  for (let g = 0; g < G; g++)
    f.get(at.sp)
      .get(first(g))
      .store(sums + (v + g) * 16);
  for (let g = 0; g < G; g++)
    f.get(at.sp)
      .get(second(g))
      .store(sums + spec.vectors * 16 + (v + g) * 16);
}
