import type { Vec3 } from "../../volume/volume.ts";
import type { FunctionBuilder } from "./emit.ts";
import type { Layout } from "./layout.ts";

/** Byte offsets of a pool window's voxels in D, H, W scan order. */
function windowOffsets(fine: Layout, factor: Vec3): number[] {
  const offsets: number[] = [];
  for (let d = 0; d < factor[0]; d++) {
    for (let h = 0; h < factor[1]; h++) {
      for (let w = 0; w < factor[2]; w++) offsets.push(d * fine.planeBytes + h * fine.rowBytes + w * fine.pixelBytes);
    }
  }
  return offsets;
}

/** Walks coarse positions; `fine` and `coarse` say how many pointer arguments of each kind there are (fine ones first). */
function emitPoolWalk(
  f: FunctionBuilder,
  fine: Layout,
  coarse: Layout,
  factor: Vec3,
  counts: { fine: number; coarse: number },
  body: (pointers: number[], offset: number) => void,
): void {
  const total = counts.fine + counts.coarse;
  const [PLANES, ROWS] = [total, total + 1];
  const [planeCount, rowCount, pixelCount, vectorCount] = [f.int(), f.int(), f.int(), f.int()];
  const row = Array.from({ length: total }, () => f.int());
  const pixel = Array.from({ length: total }, () => f.int());
  const isFine = (i: number): boolean => i < counts.fine;
  const vectors = coarse.padded / 4;
  const G = vectors % 4 === 0 ? 4 : vectors % 2 === 0 ? 2 : 1;
  f.repeat(planeCount, { local: PLANES }, () => {
    for (let i = 0; i < total; i++) f.copy(i, row[i]);
    f.repeat(rowCount, { local: ROWS }, () => {
      for (let i = 0; i < total; i++) f.copy(row[i], pixel[i]);
      f.repeat(pixelCount, coarse.shape[2], () => {
        f.repeat(vectorCount, vectors / G, () => {
          for (let g = 0; g < G; g++) body(pixel, g * 16);
          for (let i = 0; i < total; i++) f.advance(pixel[i], G * 16);
        });
        const done = vectors * 16;
        for (let i = 0; i < total; i++) {
          f.advance(pixel[i], (isFine(i) ? factor[2] * fine.pixelBytes : coarse.pixelBytes) - done);
        }
      });
      for (let i = 0; i < total; i++) f.advance(row[i], isFine(i) ? factor[1] * fine.rowBytes : coarse.rowBytes);
    });
    for (let i = 0; i < total; i++) f.advance(i, isFine(i) ? factor[0] * fine.planeBytes : coarse.planeBytes);
  });
}

/** y = max over the window. Arguments: x (fine), y (coarse), planes and rows of the coarse tensor. */
export function emitMaxPool(f: FunctionBuilder, fine: Layout, coarse: Layout, factor: Vec3): void {
  const offsets = windowOffsets(fine, factor);
  const best = f.vector();
  emitPoolWalk(f, fine, coarse, factor, { fine: 1, coarse: 1 }, ([x, y], at) => {
    f.get(x)
      .load(offsets[0] + at)
      .set(best);
    for (const offset of offsets.slice(1))
      f.get(best)
        .get(x)
        .load(offset + at)
        .max()
        .set(best);
    f.get(y).get(best).store(at);
  });
}

/**
 * dx = dy at the first maximum of each window, 0 elsewhere; `accumulate` adds to dx instead of writing it.
 * Arguments: x, dx (fine), y, dy (coarse), planes and rows of the coarse tensor.
 */
export function emitMaxPoolBackward(
  f: FunctionBuilder,
  fine: Layout,
  coarse: Layout,
  factor: Vec3,
  accumulate: boolean,
): void {
  const [best, grad, rest, hit] = [f.vector(), f.vector(), f.vector(), f.vector()];
  emitPoolWalk(f, fine, coarse, factor, { fine: 2, coarse: 2 }, ([x, dx, y, dy], at) => {
    f.get(y).load(at).set(best);
    // `rest` is what is left to give: it becomes zero where the maximum has been found.
    f.get(dy).load(at).set(rest);
    for (const offset of windowOffsets(fine, factor)) {
      f.get(x)
        .load(offset + at)
        .get(best)
        .equal()
        .set(hit);
      f.get(rest).get(hit).and().set(grad);
      f.get(dx);
      if (accumulate)
        f.get(dx)
          .load(offset + at)
          .get(grad)
          .add();
      else f.get(grad);
      f.store(offset + at);
      f.get(rest).get(hit).andNot().set(rest);
    }
  });
}
