import { expect, test } from "vitest";
import { conformanceCases } from "./conformance-cases.ts";
import { coarseTarget, supervisedOutputs } from "./supervision.ts";
import type { LossSpec } from "./types.ts";

test("a coarse target takes the voxel in the middle of each block, of two the upper", () => {
  // Voxels number 0 to 31 of [2, 2, 2, 4].
  const target = Uint8Array.from({ length: 32 }, (_, i) => i);
  expect([...coarseTarget(target, 2, [2, 2, 4], [2, 2, 4])]).toEqual([...target]);
  // D and W halved: plane 1, columns 1 and 3 of each row.
  expect([...coarseTarget(target, 2, [2, 2, 4], [1, 2, 2])]).toEqual([9, 11, 13, 15, 25, 27, 29, 31]);
  // Everything halved, and W once more: column 2.
  expect([...coarseTarget(target, 2, [2, 2, 4], [1, 1, 1])]).toEqual([14, 30]);
});

test("weights 1, 1/2, 1/4 of every term add up to 1; only the finest output has a teacher", () => {
  const { graph } = conformanceCases().find(({ name }) => name === "heads at 2 levels")!;
  const loss: LossSpec = {
    dice: 1,
    crossEntropy: 7,
    labelSmoothing: 0.1,
    focal: { weight: 14, gamma: 2 },
    tversky: { weight: 21, alpha: 0.3, beta: 0.7 },
    distil: { weight: 7, temperature: 2 },
    eps: 1e-5,
    includeBackground: false,
  };
  const outputs = supervisedOutputs(graph, loss);
  expect(outputs.map(({ id }) => graph.tensors[id].name)).toEqual(["head", "head.1", "head.2"]);
  const near = (value: number) => expect.closeTo(value, 14);
  [4, 2, 1].forEach((share, i) => {
    expect(outputs[i].loss).toEqual({
      ...loss,
      dice: near(share / 7),
      crossEntropy: near(share),
      focal: { weight: near(2 * share), gamma: 2 },
      tversky: { weight: near(3 * share), alpha: 0.3, beta: 0.7 },
      distil: i === 0 ? { weight: near(4), temperature: 2 } : undefined,
    });
  });
  const { auxiliary, ...plain } = graph;
  expect(supervisedOutputs(plain, loss)).toEqual([{ id: graph.output, loss }]);
});
