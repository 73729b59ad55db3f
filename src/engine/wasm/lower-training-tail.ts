import type { ConvNode, UnitTail } from "../graph.ts";
import { emitNormBackward, emitNormSums } from "./elementwise.ts";
import type { Backward } from "./lower-training-backward.ts";
import type { KeptUnit } from "./lower-training-forward.ts";
import { gradCoefficientsOf } from "./norm-steps.ts";
import type { Task } from "./program.ts";
import { slabStart, slabsOf } from "./slabs.ts";

/** From the gradient of a unit's output to that of its convolution's output, in place; leaves the sums for the bias. */
export function backwardTail(
  pass: Backward,
  node: ConvNode,
  tail: UnitTail,
  { z, plan }: KeptUnit,
  sums: { from: number; stride: number },
): void {
  const { t } = pass;
  const { b, graph, gradient } = t;
  const { slots } = t.parameters.conv(node);
  const grad = pass.known(node.output);
  const { layout } = grad;
  const { padded } = layout;
  const slabs = slabsOf(layout.shape, graph.batch);
  const after = tail.order === "conv-norm-act";
  const each = gradCoefficientsOf(plan);
  const gradCoefficients = t.arena.take(graph.batch * padded * 4 * each);
  const walk = (kernel: number, coefficients: { address: number; each: number }): Task[] =>
    slabs.map((slab, i) => {
      const start = slabStart(slab, layout);
      const to = sums.from + i * sums.stride;
      const from = coefficients.address + slab.n * padded * 4 * coefficients.each;
      return [
        b.op({ op: "zero", address: to, bytes: sums.stride }),
        { kernel, args: [z.address + start, grad.address + start, from, to, slab.planes, slab.rows] },
      ];
    });
  if (tail.norm !== "none") {
    const options = after ? { slope: tail.slope } : null;
    const kernel = b.kernel(["normSums", layout, options], 6, (f) => emitNormSums(f, layout, options));
    pass.stage(walk(kernel, { address: plan.coefficients, each: 2 }));
  }
  pass.stage([
    [
      b.op({
        op: "normBackward",
        ...plan,
        slabsPerSample: slabs.length / graph.batch,
        stride: sums.stride,
        sums: sums.from,
        gradCoefficients,
        scaleGrad: slots.scale ? gradient + slots.scale.offset : 0,
        shiftGrad: slots.shift ? gradient + slots.shift.offset : 0,
      }),
    ],
  ]);
  const options = { order: after ? "after" : "before", slope: tail.slope } as const;
  const kernel = b.kernel(["normBackward", layout, options], 6, (f) => emitNormBackward(f, layout, options));
  pass.stage(walk(kernel, { address: gradCoefficients, each }));
  t.buffers.give(z);
  t.values.free(node.output);
}
