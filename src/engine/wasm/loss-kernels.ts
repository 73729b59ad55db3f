import { HIGH_HALF } from "./conv.ts";
import type { FunctionBuilder, Local } from "./emit.ts";
import { expEmitter, logEmitter } from "./exponential.ts";

/** Rows of logits [pixel][padded classes], and the target's bytes. */
export interface LossWalk {
  classes: number;
  /** 128-bit vectors of a pixel. */
  vectors: number;
  width: number;
  rowBytes: number;
  planeBytes: number;
}

/** What of the loss the kernels are made for. */
export interface KernelTerms {
  crossEntropy: boolean;
  smoothing: number;
  /** Of a teacher: `share` is {@link distilShare}, `planeBytes` lie between its classes. */
  distil: { temperature: number; share: number; planeBytes: number } | null;
}

/** More classes would not leave enough registers; the row-by-row form in loss-rows.ts serves them, focal terms and regions. */
const MOST_CLASSES = 8;

/** Whether {@link emitLossForward} and {@link emitLossBackward} can take a softmax of this size. */
export const lossKernelFits = ({ classes, width }: Pick<LossWalk, "classes" | "width">): boolean =>
  classes <= MOST_CLASSES && width % 4 === 0;

/** Floats of the coefficients: constant, slope and cross-entropy of each class, each four times. */
export const lossCoefficientFloats = (classes: number): number => classes * 12;

/** Bytes of a slab's sums: double [p, g, pg, crossEntropy][K][4], then [distil][4]. */
export const lossSumBytes = (classes: number): number => (4 * classes + 1) * 32;

/** Turns the 4x4 numbers of four vectors around their diagonal, in place. */
function transpose(f: FunctionBuilder, [a, b, c, d]: Local[], [p, q, r, s]: Local[]): void {
  const pick = (x: Local, y: Local, lanes: readonly number[], to: Local): void => {
    const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => lane * 4 + i));
    f.get(x).get(y).shuffle(bytes).set(to);
  };
  const [low, high] = [
    [0, 4, 1, 5],
    [2, 6, 3, 7],
  ];
  pick(a, b, low, p);
  pick(a, b, high, q);
  pick(c, d, low, r);
  pick(c, d, high, s);
  pick(p, r, [0, 1, 4, 5], a);
  pick(p, r, [2, 3, 6, 7], b);
  pick(q, s, [0, 1, 4, 5], c);
  pick(q, s, [2, 3, 6, 7], d);
}

/** What both kernels do for four pixels: load, turn to one vector a class, `body`, turn back, store. */
function emitPixels(
  f: FunctionBuilder,
  walk: LossWalk,
  at: { LOGITS: Local; TARGET: Local; SOFT: Local | null; PLANES: Local; ROWS: Local },
  body: (z: Local[], truth: Local) => void,
  rowEnd: () => void,
): void {
  const { vectors, width } = walk;
  const [planeCount, rowCount, pixelCount, row, pixel] = [f.int(), f.int(), f.int(), f.int(), f.int()];
  const z = f.vectors(4 * vectors);
  const spare = f.vectors(4);
  const truth = f.vector();
  const each = (visit: (local: Local, offset: number) => void): void => {
    // z[4 v + i] is channels 4 v to 4 v + 3 of pixel i, and after turning channel 4 v + i of the four pixels.
    for (let v = 0; v < vectors; v++) for (let i = 0; i < 4; i++) visit(z[4 * v + i], (i * vectors + v) * 16);
  };
  const turn = (): void => {
    for (let v = 0; v < vectors; v++) transpose(f, z.slice(4 * v, 4 * v + 4), spare);
  };
  f.repeat(planeCount, { local: at.PLANES }, () => {
    f.copy(at.LOGITS, row);
    f.repeat(rowCount, { local: at.ROWS }, () => {
      f.copy(row, pixel);
      f.repeat(pixelCount, width / 4, () => {
        each((local, offset) => f.get(pixel).load(offset).set(local));
        turn();
        f.get(at.TARGET).loadLow(0).extendLow(8).extendLow(16).set(truth);
        body(z.slice(0, walk.classes), truth);
        turn();
        each((local, offset) => f.get(pixel).get(local).store(offset));
        f.advance(pixel, 4 * vectors * 16).advance(at.TARGET, 4);
        if (at.SOFT !== null) f.advance(at.SOFT, 16);
      });
      rowEnd();
      f.advance(row, walk.rowBytes);
    });
    f.advance(at.LOGITS, walk.planeBytes);
  });
}

/** Smaller probabilities have no logarithm in {@link logEmitter}. */
const SMALLEST_NORMAL = 2 ** -126;

/** Sets `mask` to all ones where the truth is class c. */
const isClass = (f: FunctionBuilder, truth: Local, c: number, mask: Local): FunctionBuilder =>
  f.get(truth).const(c).splatInt().equalInts().set(mask);

/**
 * Softmax in place and the sums of the loss: added to those of {@link lossSumBytes} at `sums`, of which the four are to be added
 * up. Sums are float32 along a row and double across rows. Arguments: logits, target, sums, planes, rows, teacher.
 */
export function emitLossForward(f: FunctionBuilder, walk: LossWalk, terms: KernelTerms): void {
  const { crossEntropy, smoothing, distil } = terms;
  const { classes } = walk;
  const [LOGITS, TARGET, SUMS, PLANES, ROWS, SOFT] = [0, 1, 2, 3, 4, 5];
  const [p, g, pg, entropies] = [f.vectors(classes), f.vectors(classes), f.vectors(classes), f.vectors(classes)];
  const fields = crossEntropy ? [p, g, pg, entropies] : [p, g, pg];
  const [distilled, softTotal, softDot, scaled] = distil ? f.vectors(4) : [];
  const [top, total, shifted, all, mask, one] = f.vectors(6);
  const [exp, log] = [expEmitter(f), logEmitter(f)];
  f.splatConst(1).set(one);
  const pixels = (z: Local[], truth: Local): void => {
    f.get(z[0]).set(top);
    for (const local of z.slice(1)) f.get(top).get(local).max().set(top);
    f.zero().set(total).zero().set(shifted).zero().set(all);
    if (distil) f.zero().set(softTotal).zero().set(softDot);
    z.forEach((local, c) => {
      f.get(local).get(top).sub().set(local);
      if (crossEntropy) {
        isClass(f, truth, c, mask);
        f.get(shifted).get(local).get(mask).and().add().set(shifted);
        if (smoothing > 0) f.get(all).get(local).add().set(all);
      }
      if (distil) {
        f.get(local)
          .splatConst(1 / distil.temperature)
          .mul()
          .set(scaled);
        f.get(SOFT).load(c * distil.planeBytes);
        f.get(scaled).mul().get(softDot).add().set(softDot);
        exp(scaled);
        f.get(softTotal).add().set(softTotal);
      }
      exp(local);
      f.set(local);
      f.get(total).get(local).add().set(total);
    });
    if (distil) {
      log(softTotal);
      f.get(softDot).sub().get(distilled).add().set(distilled);
    }
    if (crossEntropy) {
      if (smoothing > 0) {
        f.get(shifted)
          .splatConst(1 - smoothing)
          .mul();
        f.get(all)
          .splatConst(smoothing / classes)
          .mul()
          .add()
          .set(shifted);
      }
      log(total);
      f.get(shifted).sub().set(shifted);
    }
    f.get(one).get(total).div().set(total);
    z.forEach((local, c) => {
      isClass(f, truth, c, mask);
      f.get(local).get(total).mul().set(local);
      f.get(p[c]).get(local).add().set(p[c]);
      f.get(g[c]).get(one).get(mask).and().add().set(g[c]);
      f.get(pg[c]).get(local).get(mask).and().add().set(pg[c]);
      if (crossEntropy) f.get(entropies[c]).get(shifted).get(mask).and().add().set(entropies[c]);
    });
  };
  const flushOne = (local: Local, at: number): void => {
    for (const half of [0, 16]) {
      f.get(SUMS)
        .get(SUMS)
        .load(at + half)
        .get(local);
      if (half > 0) f.get(local).shuffle(HIGH_HALF);
      f.promoteLow()
        .addDouble()
        .store(at + half);
    }
    f.zero().set(local);
  };
  const flush = (): void => {
    fields.forEach((field, i) => {
      field.forEach((local, c) => {
        flushOne(local, (i * classes + c) * 32);
      });
    });
    if (distil) flushOne(distilled, 4 * classes * 32);
  };
  emitPixels(f, walk, { LOGITS, TARGET, SOFT: distil && SOFT, PLANES, ROWS }, pixels, flush);
}

/**
 * Probabilities to the loss's gradient by the logits, in place; the formula is that of logitGradient. Arguments: probabilities, target,
 * coefficients {@link lossCoefficientFloats} [class][constant, slope, cross-entropy], planes, rows, teacher.
 */
export function emitLossBackward(f: FunctionBuilder, walk: LossWalk, { smoothing, distil }: KernelTerms): void {
  const [LOGITS, TARGET, COEFFICIENTS, PLANES, ROWS, SOFT] = [0, 1, 2, 3, 4, 5];
  const [mask, q, slope, scale, mean, even] = f.vectors(6);
  const [softTotal, scaled] = distil ? f.vectors(2) : [];
  const softened = distil ? f.vectors(walk.classes) : [];
  const [exp, log] = distil ? [expEmitter(f), logEmitter(f)] : [];
  const coefficient = (c: number, k: number): FunctionBuilder => f.get(COEFFICIENTS).load((c * 3 + k) * 16);
  /** Leaves scale (p^(1/T) / sum p^(1/T) - teacher) in `softened`. */
  const soften = (z: Local[], temperature: number, planeBytes: number, factor: number): void => {
    f.zero().set(softTotal);
    z.forEach((local, c) => {
      f.get(local).splatConst(SMALLEST_NORMAL).max().set(scaled);
      log!(scaled);
      f.splatConst(1 / temperature)
        .mul()
        .set(scaled);
      exp!(scaled);
      f.set(softened[c]);
      f.get(softTotal).get(softened[c]).add().set(softTotal);
    });
    f.splatConst(factor).get(softTotal).div().set(softTotal);
    z.forEach((_, c) => {
      f.get(softened[c]).get(softTotal).mul();
      f.get(SOFT)
        .load(c * planeBytes)
        .splatConst(factor)
        .mul()
        .sub()
        .set(softened[c]);
    });
  };
  const pixels = (z: Local[], truth: Local): void => {
    for (const local of [q, slope, scale, mean]) f.zero().set(local);
    if (distil) soften(z, distil.temperature, distil.planeBytes, distil.share / distil.temperature);
    z.forEach((local, c) => {
      isClass(f, truth, c, mask);
      f.get(q).get(local).get(mask).and().add().set(q);
      f.get(slope);
      coefficient(c, 1).get(mask).and().add().set(slope);
      f.get(scale);
      coefficient(c, 2).get(mask).and().add().set(scale);
      f.get(mean);
      coefficient(c, 0).get(local).mul().add().set(mean);
    });
    // From here on slope is what belongs to the truth alone: slope q.
    f.get(slope).get(q).mul().set(slope);
    f.get(mean).get(slope).add().set(mean);
    f.get(slope).get(scale);
    if (smoothing > 0) f.splatConst(1 - smoothing).mul();
    f.sub().set(slope);
    if (smoothing > 0) {
      f.get(scale)
        .splatConst(smoothing / walk.classes)
        .mul()
        .set(even);
    }
    f.get(scale).get(mean).sub().set(scale);
    z.forEach((local, c) => {
      isClass(f, truth, c, mask);
      f.get(local);
      coefficient(c, 0).get(scale).add().mul();
      if (smoothing > 0) f.get(even).sub();
      f.get(slope).get(mask).and().add();
      if (distil) f.get(softened[c]).add();
      f.set(local);
    });
  };
  emitPixels(f, walk, { LOGITS, TARGET, SOFT: distil && SOFT, PLANES, ROWS }, pixels, () => {});
}
