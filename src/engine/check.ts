import { fail } from "../util/errors.ts";
import { type Vec3, voxelCount } from "../volume/volume.ts";
import type { Graph } from "./graph.ts";
import type { Batch, TensorMap } from "./types.ts";

const text = (shape: readonly number[]): string => shape.join("x");

/** Checks every node against its operator's shape rule. Throws a UserError that names the node. */
export function checkShapes(graph: Graph): void {
  checkAuxiliary(graph);
  for (const node of graph.nodes) {
    const output = graph.tensors[node.output];
    const inputs = node.inputs.map((id) => graph.tensors[id]);
    const expect = (ok: boolean, rule: string): void => {
      if (!ok) {
        const found = inputs.map((t) => `${t.channels} x ${text(t.shape)}`).join(" and ");
        fail(
          `Node "${node.name}" (${node.kind}) expected ${rule}, but has ${found} -> ${output.channels} x ${text(output.shape)}.`,
        );
      }
    };
    const scaled = (shape: Vec3, factor: Vec3): string => text(shape.map((n, axis) => n * factor[axis]));
    if (node.kind === "conv") {
      expect(inputs.length === 1 || inputs.length === 2, "1 or 2 inputs");
      expect(
        node.kernel.every((k) => k === 1 || k === 3),
        "a kernel of 1 or 3 along each axis",
      );
      expect(
        inputs.every((t) => text(t.shape) === text(output.shape)),
        "inputs of the output's shape",
      );
      continue;
    }
    expect(inputs.length === 1, "1 input");
    if (node.kind === "upconv") {
      expect(
        scaled(inputs[0].shape, node.factor) === text(output.shape),
        `an output ${text(node.factor)} times the input`,
      );
    } else {
      expect(inputs[0].channels === output.channels, "as many output as input channels");
      expect(
        scaled(output.shape, node.factor) === text(inputs[0].shape),
        `an input that ${text(node.factor)} divides into the output`,
      );
    }
  }
}

/** Checks the logits of deep supervision. Throws a UserError. */
function checkAuxiliary(graph: Graph): void {
  const { channels, shape } = graph.tensors[graph.output];
  for (const id of graph.auxiliary ?? []) {
    const coarse = graph.tensors[id];
    if (coarse.channels === channels && coarse.shape.every((n, axis) => shape[axis] % n === 0)) continue;
    fail(
      `Expected auxiliary logits of ${channels} channels on a grid that divides ${text(shape)}, but "${coarse.name}" has ` +
        `${coarse.channels} x ${text(coarse.shape)}.`,
    );
  }
}

/** Checks that one byte a voxel can hold the targets. Throws a UserError. */
export function checkTargets(graph: Graph): void {
  const { channels } = graph.tensors[graph.output];
  const [most, why] = graph.outputKind === "softmax" ? [256, "class index"] : [8, "mask of regions"];
  if (channels > most) {
    fail(
      `Expected at most ${most} ${graph.outputKind} outputs for training, since a target is one byte a voxel (${why}), but the net has ${channels}.`,
    );
  }
}

/** Checks the length of an input [N, C, D, H, W]. Throws a UserError. */
export function checkInput(graph: Graph, input: ArrayLike<number>): void {
  const { channels, shape } = graph.tensors[graph.input];
  const size = graph.batch * channels * voxelCount(shape);
  if (input.length !== size) fail(`Expected an input of ${size} values (N C D H W), but got ${input.length}.`);
}

/**
 * Checks the sizes of a batch and of dropout factors, and the target's values; `distil`: the loss needs a teacher's probabilities. Throws
 * a UserError.
 */
export function checkBatch(graph: Graph, batch: Batch, distil: boolean, dropout?: TensorMap): void {
  const { input, target, soft } = batch;
  checkInput(graph, input);
  const voxels = graph.batch * voxelCount(graph.tensors[graph.output].shape);
  if (target.length !== voxels) {
    fail(`Expected a target of ${voxels} voxels (N D H W), but got ${target.length}.`);
  }
  const classes = graph.tensors[graph.output].channels;
  if (distil && soft?.length !== classes * voxels) {
    const got = soft ? `got ${soft.length}` : "there are none";
    fail(`Expected ${classes * voxels} of a teacher's probabilities (N K D H W) for a loss that distils, but ${got}.`);
  }
  const limit = graph.outputKind === "softmax" ? classes : 2 ** classes;
  const wrong = target.find((value) => value >= limit);
  if (wrong !== undefined) {
    fail(`Expected target values below ${limit} for ${classes} ${graph.outputKind} outputs, but found ${wrong}.`);
  }
  for (const node of graph.nodes) {
    const factors = dropout?.get(node.name);
    const size = graph.batch * graph.tensors[node.output].channels;
    if (factors && factors.length !== size) {
      fail(`Expected ${size} dropout factors (N C) for ${node.name}, but got ${factors.length}.`);
    }
  }
}
