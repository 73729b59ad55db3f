import type { FunctionBuilder, Local } from "./emit.ts";

/** x = k ln 2 + r with whole k; ln 2 in two parts, so that k times the first is exact and r keeps its bits. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = Math.LN2 - LN2_HIGH;

/** |r| is at most ln(2) / 2: Taylor's next term is below 5e-9 of the result. */
const EXP_TERMS = [5040, 720, 120, 24, 6, 2, 1, 1];

/** Below this the result would not be a normal float32. */
const SMALLEST = -87;

/** Writes code for exp of four floats, from -87 (smaller ones count as that) to 88. Relative error below 2e-7. */
export function expEmitter(f: FunctionBuilder): (x: Local) => void {
  const [r, k, sum] = f.vectors(3);
  return (x) => {
    f.get(x).splatConst(SMALLEST).max().set(r);
    f.get(r).splatConst(Math.LOG2E).mul().nearest().set(k);
    f.get(r).get(k).splatConst(LN2_HIGH).mul().sub();
    f.get(k).splatConst(LN2_LOW).mul().sub().set(r);
    EXP_TERMS.forEach((factorial, i) => {
      if (i > 0) f.get(sum).get(r).mul();
      f.splatConst(1 / factorial);
      if (i > 0) f.add();
      f.set(sum);
    });
    // 2^k as bits of a float.
    f.get(sum).get(k).toInts().const(127).splatInt().addInts().const(23).shiftLeft().mul();
  };
}

/** Bits of sqrt(1/2). */
const SQRT_HALF = 0x3f3504f3;

/** Writes code for the natural logarithm of four normal floats above 0. Absolute error below 2e-7 for values up to 256. */
export function logEmitter(f: FunctionBuilder): (x: Local) => void {
  const [exponent, t, square] = f.vectors(3);
  return (x) => {
    // x = m 2^e with m from sqrt(1/2) to sqrt(2), and log m = 2 atanh t with t = (m - 1) / (m + 1), |t| < 0.172.
    f.get(x).const(SQRT_HALF).splatInt().subInts().const(23).shiftRight().set(exponent);
    f.get(x).get(exponent).const(23).shiftLeft().subInts().set(t);
    f.get(t).splatConst(1).sub().get(t).splatConst(1).add().div().set(t);
    f.get(t).get(t).mul().set(square);
    f.splatConst(2 / 9);
    for (const odd of [7, 5, 3, 1])
      f.get(square)
        .mul()
        .splatConst(2 / odd)
        .add();
    f.get(t).mul();
    f.get(exponent).toFloats().splatConst(Math.LN2).mul().add();
  };
}
