import { HIGH_HALF } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import type { Layout } from "./layout.ts";
import { divisorUpTo } from "./tiles.ts";

/**
 * Emits a walk over the interior of equally laid out tensors, a few channel vectors at a time, so that per-channel coefficients
 * and sums stay in registers along a row. Arguments: `pointers` tensor addresses (at the first row of the call), the
 * coefficient address, the sums address, planes, rows. Coefficients: [vector][coefficient]; sums: double, [sum][channel],
 * added to what is there.
 */
function emitWalk(
  f: FunctionBuilder,
  layout: Layout,
  shape: { pointers: number; coefficients: number; sums: number },
  body: (at: { pointers: Local[]; offset: number; coefficients: Local[]; sums: Local[] }) => void,
): void {
  const { pointers, coefficients, sums } = shape;
  const [COEF, SUMS, PLANES, ROWS] = [pointers, pointers + 1, pointers + 2, pointers + 3];
  const vectors = layout.padded / 4;
  const G = divisorUpTo(vectors, coefficients + sums > 3 ? 2 : 4);
  const width = layout.shape[2];
  const U = divisorUpTo(width, 4);
  const [planeCount, rowCount, groupCount, pixelCount] = [f.int(), f.int(), f.int(), f.int()];
  const row = Array.from({ length: pointers }, () => f.int());
  const group = Array.from({ length: pointers }, () => f.int());
  const [coefAt, sumAt] = [f.int(), f.int()];
  const coef = Array.from({ length: G }, () => f.vectors(coefficients));
  const acc = Array.from({ length: G }, () => f.vectors(sums));

  f.repeat(planeCount, { local: PLANES }, () => {
    for (let i = 0; i < pointers; i++) f.copy(i, row[i]);
    f.repeat(rowCount, { local: ROWS }, () => {
      for (let i = 0; i < pointers; i++) f.copy(row[i], group[i]);
      f.copy(COEF, coefAt).copy(SUMS, sumAt);
      f.repeat(groupCount, vectors / G, () => {
        for (let g = 0; g < G; g++) {
          for (let k = 0; k < coefficients; k++)
            f.get(coefAt)
              .load((g * coefficients + k) * 16)
              .set(coef[g][k]);
          for (let k = 0; k < sums; k++) f.zero().set(acc[g][k]);
        }
        f.repeat(pixelCount, width / U, () => {
          for (let u = 0; u < U; u++) {
            for (let g = 0; g < G; g++) {
              body({ pointers: group, offset: u * layout.pixelBytes + g * 16, coefficients: coef[g], sums: acc[g] });
            }
          }
          for (let i = 0; i < pointers; i++) f.advance(group[i], U * layout.pixelBytes);
        });
        for (let g = 0; g < G; g++) {
          for (let k = 0; k < sums; k++) {
            const at = k * vectors * 32 + g * 32;
            f.get(sumAt).get(sumAt).load(at).get(acc[g][k]).promoteLow().addDouble().store(at);
            f.get(sumAt)
              .get(sumAt)
              .load(at + 16)
              .get(acc[g][k])
              .get(acc[g][k])
              .shuffle(HIGH_HALF);
            f.promoteLow()
              .addDouble()
              .store(at + 16);
          }
        }
        for (let i = 0; i < pointers; i++) f.advance(group[i], G * 16 - width * layout.pixelBytes);
        f.advance(coefAt, G * coefficients * 16).advance(sumAt, G * 32);
      });
      for (let i = 0; i < pointers; i++) f.advance(row[i], layout.rowBytes);
    });
    for (let i = 0; i < pointers; i++) f.advance(i, layout.planeBytes);
  });
}

/** y += x. Arguments: x, y, coefficients and sums (unused), planes, rows. */
export function emitAdd(f: FunctionBuilder, layout: Layout): void {
  emitWalk(f, layout, { pointers: 2, coefficients: 0, sums: 0 }, ({ pointers: [x, y], offset }) => {
    f.get(y).get(x).load(offset).get(y).load(offset).add().store(offset);
  });
}

/** y = a x + b (slope null) or act(a x + b). Arguments: x, y, coefficients [a, b], sums (unused), planes, rows. */
export function emitAffine(f: FunctionBuilder, layout: Layout, slope: number | null): void {
  const value = f.vector();
  emitWalk(
    f,
    layout,
    { pointers: 2, coefficients: 2, sums: 0 },
    ({ pointers: [x, y], offset, coefficients: [a, b] }) => {
      f.get(x).load(offset).set(value);
      f.fmaValue(value, a, b).set(value);
      if (slope !== null) {
        f.get(value);
        if (slope === 0) f.zero();
        else f.get(value).splatConst(slope).mul();
        f.max().set(value);
      }
      f.get(y).get(value).store(offset);
    },
  );
}

/** [] -> gradient times the activation's slope, decided by the sign of the activation's input or output `by`. */
function maskedGradient(f: FunctionBuilder, grad: Local, by: Local, slope: number): void {
  f.get(grad);
  if (slope !== 0) f.get(grad).splatConst(slope).mul();
  f.get(by).zero().greater();
  if (slope === 0) f.and();
  else f.select();
}

/**
 * Sums for the norm's backward pass: S1 = sum dy, S2 = sum dy z, with dy first taken through the activation when that comes after
 * the norm (`after`: by the sign of a z + b). Arguments: z, dy, coefficients (after: [a, b]), sums, planes, rows.
 */
export function emitNormSums(f: FunctionBuilder, layout: Layout, after: { slope: number } | null): void {
  const [grad, z, normed] = f.vectors(3);
  const shape = { pointers: 2, coefficients: after ? 2 : 0, sums: 2 };
  emitWalk(f, layout, shape, ({ pointers: [pz, pdy], offset, coefficients: [a, b], sums }) => {
    f.get(pdy).load(offset).set(grad);
    f.get(pz).load(offset).set(z);
    if (after) {
      f.fmaValue(z, a, b).set(normed);
      maskedGradient(f, grad, normed, after.slope);
      f.set(grad);
    }
    f.get(sums[0]).get(grad).add().set(sums[0]);
    f.fma(grad, z, sums[1]);
  });
}

/**
 * The norm's and activation's backward pass in place: g = A dy + B z + C, then the activation's slope by the sign of z when the
 * activation comes before the norm; `order` "after": dy goes through the activation first, by the sign of a z + b. Sums the result
 * for the bias gradient. Arguments: z, dy (becomes the gradient of the convolution's output), coefficients
 * [A, B, C] (after: [A, B, C, a, b]), sums, planes, rows.
 */
export function emitNormBackward(
  f: FunctionBuilder,
  layout: Layout,
  options: { order: "before" | "after"; slope: number },
): void {
  const [grad, z, sum] = f.vectors(3);
  const after = options.order === "after";
  emitWalk(
    f,
    layout,
    { pointers: 2, coefficients: after ? 5 : 3, sums: 1 },
    ({ pointers: [pz, pdy], offset, coefficients, sums }) => {
      const [A, B, C, a, b] = coefficients;
      f.get(pdy).load(offset).set(grad);
      f.get(pz).load(offset).set(z);
      if (after) {
        f.fmaValue(z, a, b).set(sum);
        maskedGradient(f, grad, sum, options.slope);
        f.set(grad);
      }
      f.fmaValue(z, B, C).set(sum);
      f.fmaValue(grad, A, sum).set(grad);
      if (options.order === "before") {
        maskedGradient(f, grad, z, options.slope);
        f.set(grad);
      }
      f.get(pdy).get(grad).store(offset);
      f.get(sums[0]).get(grad).add().set(sums[0]);
    },
  );
}

/** Sum over the interior. Arguments: x, -, sums, planes, rows. */
export function emitSum(f: FunctionBuilder, layout: Layout): void {
  emitWalk(f, layout, { pointers: 1, coefficients: 0, sums: 1 }, ({ pointers: [x], offset, sums }) => {
    f.get(sums[0]).get(x).load(offset).add().set(sums[0]);
  });
}

/** Sums |u|, u^2 and u g over the interior. Arguments: u, g, -, sums, planes, rows. */
export function emitChannelSums(f: FunctionBuilder, layout: Layout): void {
  const [u, g] = f.vectors(2);
  emitWalk(f, layout, { pointers: 2, coefficients: 0, sums: 3 }, ({ pointers: [pu, pg], offset, sums }) => {
    f.get(pu).load(offset).set(u);
    f.get(pg).load(offset).set(g);
    f.get(sums[0]).get(u).abs().add().set(sums[0]);
    f.fma(u, u, sums[1]);
    f.fma(u, g, sums[2]);
  });
}

/** to = sum of `slabs` arrays that lie `stride` bytes apart, in slab order. Arguments: first array, destination, vectors. */
export function emitMerge(f: FunctionBuilder, slabs: number, stride: number): void {
  const [FROM, TO, COUNT] = [0, 1, 2];
  const count = f.int();
  const sum = f.vector();
  f.repeat(count, { local: COUNT }, () => {
    f.get(FROM).load(0).set(sum);
    for (let s = 1; s < slabs; s++)
      f.get(sum)
        .get(FROM)
        .load(s * stride)
        .add()
        .set(sum);
    f.get(TO).get(sum).store(0);
    f.advance(FROM, 16).advance(TO, 16);
  });
}
