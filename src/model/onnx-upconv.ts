import type { OnnxNode } from "./onnx-format.ts";

type Step = Omit<OnnxNode, "output">;

/** Axes of the output, W first, that a transposed convolution makes longer: places in D, H, W (2D: H, W). */
const grown = (factor: readonly number[]): number[] => factor.flatMap((f, axis) => (f > 1 ? [axis] : [])).reverse();

/**
 * Where a transposed convolution's value at (ci, co, tap) goes when it is a convolution with kernel 1 and taps x Cout output channels: the
 * channel is (tap's place along W, then H, then D, then co), slowest first. Gives for each of its values [taps Cout, Cin] the index
 * in [Cin, Cout, ...factor].
 */
export function pointwiseOrder([cin, cout]: readonly number[], factor: readonly number[]): Int32Array {
  const axes = grown(factor);
  const taps = axes.reduce((n, axis) => n * factor[axis], 1);
  const order = new Int32Array(taps * cout * cin);
  let at = 0;
  for (let place = 0; place < taps; place++) {
    // Digits of `place`, the first axis slowest, to the tap's index in D, H, W order.
    const digits = factor.map(() => 0);
    let rest = place;
    for (const axis of axes.toReversed()) {
      digits[axis] = rest % factor[axis];
      rest = Math.floor(rest / factor[axis]);
    }
    const tap = digits.reduce((index, digit, axis) => index * factor[axis] + digit, 0);
    for (let co = 0; co < cout; co++) for (let ci = 0; ci < cin; ci++) order[at++] = (ci * cout + co) * taps + tap;
  }
  return order;
}

/**
 * The steps from [N, taps Cout, D, H, W], channels as {@link pointwiseOrder} lays them, to [N, Cout, fD D, fH H, fW W]. Channels go last, and
 * axis by axis the slowest part of them is merged into the axis: [.., W, (fW, rest)] -> [.., W fW, rest]. No step has more
 * dimensions than the input, and sizes stay open. `shape` stores a list of sizes (0: as it is, -1: what is left) under a name.
 */
export function spreadSteps(
  name: string,
  cout: number,
  factor: readonly number[],
  shape: (name: string, sizes: number[]) => string,
): Step[] {
  const axes = grown(factor);
  const steps: Step[] = [];
  const start = ["N", "C", ...factor.map((_, axis) => String(axis))];
  let now = start;
  const turn = (target: string[]): void => {
    const perm = target.map((dim) => now.indexOf(dim));
    steps.push({ op: "Transpose", name: `${name}.turn${steps.length}`, inputs: [], attributes: { perm } });
    now = target;
  };
  let channels = cout * axes.reduce((n, axis) => n * factor[axis], 1);
  for (const axis of axes) {
    const last = String(axis);
    turn([...now.filter((dim) => dim !== last && dim !== "C"), last, "C"]);
    channels /= factor[axis];
    const sizes = [...now.slice(0, -2).map(() => 0), -1, channels];
    const step = `${name}.spread${steps.length}`;
    steps.push({ op: "Reshape", name: step, inputs: [shape(`${step}.shape`, sizes)] });
  }
  if (axes.length > 0) turn(start);
  return steps;
}
