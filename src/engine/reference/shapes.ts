import { fail } from "../../util/errors.ts";
import type { Vec3 } from "../../volume/volume.ts";
import type { Graph } from "../graph.ts";

const text = (shape: readonly number[]): string => shape.join("x");

/** Checks every node against its operator's shape rule. Throws a UserError that names the node. */
export function checkShapes(graph: Graph): void {
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
