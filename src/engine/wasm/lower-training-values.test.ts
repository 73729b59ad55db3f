import { expect, test } from "vitest";
import { type SmallNet, smallGraph } from "../conformance-cases.ts";
import { deadAfter } from "./lower-training-values.ts";

const net: SmallNet = {
  batch: 1,
  shape: [2, 4, 4],
  inputChannels: 1,
  widths: [[4, 4], [4]],
  decoder: [{ up: 4, convs: [4] }],
  kernels: [
    [3, 3, 3],
    [3, 3, 3],
  ],
  pools: [[2, 2, 2]],
  skips: [true],
  outputChannels: 2,
  output: "softmax",
  tail: { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 },
};

/**
 * Visits of the nodes, forward and backward, with the tensors they make: first 0, 13 (1); second 1, 12 (2); pool 2, 11 (3);
 * bottleneck 3, 10 (4); up 4, 9 (5); decoder 5, 8 (6, reads 5 and 2); head 6, 7 (7).
 */
const deaths = (recompute: boolean): [number, number[]][] => {
  const dead = deadAfter(smallGraph(net), recompute);
  expect(dead).toHaveLength(14);
  return [1, 2, 3, 4, 5, 6].map((id) => [id, [...dead.keys()].filter((visit) => dead[visit].includes(id))]);
};

test("values go after their last reader in the backward pass", () => {
  expect(deaths(false)).toEqual([
    [1, [12]],
    [2, [11]], // pool
    [3, [11]], // the pool's own output says where the maximum was
    [4, [9]],
    [5, [8]],
    [6, [7]],
  ]);
});

test("to recompute, values go between distant visits as well", () => {
  expect(deaths(true)).toEqual([
    [1, [1, 12]],
    [2, [5, 8, 11]], // not between the pool and the decoder of the forward pass
    [3, [11]], // no cheap way to make it again
    [4, [4, 9]], // the decoder's visit 8 makes 5 from it, and up comes next
    [5, [5, 8]],
    [6, [7]], // the head's two visits follow each other
  ]);
});
