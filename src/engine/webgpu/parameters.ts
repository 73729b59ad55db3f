import { fail } from "../../util/errors.ts";
import { voxelCount } from "../../volume/volume.ts";
import type { Graph, ParamInfo } from "../graph.ts";
import type { TensorMap } from "../types.ts";

/** Where a parameter lies among all: floats from the start, in the layout of Graph.params. */
export interface Placed {
  info: ParamInfo;
  offset: number;
  size: number;
}

/** All parameters behind each other: first what weight decay is for, then the other trained ones, then running statistics. */
export interface Placement {
  byName: Map<string, Placed>;
  /** Ends of the three parts, in floats. */
  decayed: number;
  trained: number;
  all: number;
}

export function placeParameters(graph: Graph): Placement {
  const byName = new Map<string, Placed>();
  let offset = 0;
  const place = (chosen: (info: ParamInfo) => boolean): number => {
    for (const info of graph.params.filter(chosen)) {
      const size = voxelCount(info.shape);
      byName.set(info.name, { info, offset, size });
      offset += size;
    }
    return offset;
  };
  return {
    byName,
    decayed: place((info) => info.trained && info.role === "weight"),
    trained: place((info) => info.trained && info.role !== "weight"),
    all: place((info) => !info.trained),
  };
}

/** Tensors by name into one array of `length` floats. Missing or wrongly sized tensors are a UserError. */
export function gatherParameters(
  placement: Placement,
  length: number,
  values: TensorMap,
  prefix = "",
): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(length);
  for (const { info, offset, size } of placement.byName.values()) {
    if (offset >= length) continue;
    const name = prefix + info.name;
    const tensor =
      values.get(name) ??
      fail(`Expected a tensor named ${name}, but there is none: the weights belong to another net.`);
    if (tensor.length !== size) {
      fail(`Expected ${size} numbers in tensor ${name} (shape ${info.shape.join("x")}), but found ${tensor.length}.`);
    }
    flat.set(tensor, offset);
  }
  return flat;
}

/** Tensors by name out of an array, in the order of Graph.params; those beyond its end are left out. */
export function scatterParameters(
  graph: Graph,
  placement: Placement,
  flat: Float32Array,
  prefix = "",
  into: TensorMap = new Map(),
): TensorMap {
  for (const { name } of graph.params) {
    const { offset, size } = placement.byName.get(name)!;
    if (offset < flat.length) into.set(prefix + name, flat.slice(offset, offset + size));
  }
  return into;
}
