import type { Graph, GraphNode } from "../graph.ts";
import { type Arena, createPool, type MemoryUse } from "./arena.ts";
import { type Layout, layoutKey } from "./layout.ts";
import type { Placed } from "./lower-conv.ts";

/** Memory for tensors of a training step. Buffers go round among tensors of equal layout, whatever they hold. */
export interface Buffers {
  /** A buffer; `use` counts where it is a new one. */
  take(layout: Layout, use: MemoryUse): Placed;
  give(tensor: Placed): void;
}

export function createBuffers(arena: Arena, batch: number): Buffers {
  const pool = createPool(arena);
  return {
    take: (layout, use) => ({
      layout,
      address: pool.take(layoutKey(layout), batch * layout.sampleBytes, arena.for(use)),
    }),
    give: ({ layout, address }) => pool.give(layoutKey(layout), address),
  };
}

/** Where the tensors' values are, by tensor id, while they are in memory. */
export interface Values {
  /** Memory for values that are about to be written. */
  place(id: number): Placed;
  /** Values that are there. */
  at(id: number): Placed;
  has(id: number): boolean;
  /** Gives the memory back, if the tensor has any. */
  free(id: number): void;
  /** As {@link free}, but the memory stays the caller's. */
  release(id: number): Placed;
}

/** `input` has memory of its own: it is written from outside, and its layout may be unpadded. */
export function createValues(buffers: Buffers, layouts: Layout[], input: { id: number; tensor: Placed }): Values {
  const held = new Map<number, Placed>([[input.id, input.tensor]]);
  return {
    place(id) {
      const tensor = buffers.take(layouts[id], "activations");
      held.set(id, tensor);
      return tensor;
    },
    at: (id) => held.get(id)!,
    has: (id) => held.has(id),
    free(id) {
      const tensor = held.get(id);
      if (tensor && held.delete(id)) buffers.give(tensor);
    },
    release(id) {
      const tensor = held.get(id)!;
      held.delete(id);
      return tensor;
    },
  };
}

/**
 * Tensors whose values can go after each visit of a node. Node i of n is visited twice: forward as visit i, backward as visit
 * 2 n - 1 - i. A tensor goes after the last visit that reads it; to recompute, also where the next one is a later visit of the
 * backward pass and its values can be made again (see {@link remadeFrom}). The input and the outputs stay.
 */
export function deadAfter(graph: Graph, recompute: boolean): number[][] {
  const n = graph.nodes.length;
  const readers = graph.tensors.map((): number[] => []);
  graph.nodes.forEach((node, i) => {
    for (const id of node.inputs) readers[id].push(i);
  });
  const sources = graph.tensors.map((_, id) => (recompute ? remadeFrom(graph, id) : null));
  for (let i = n - 1; i >= 0; i--) {
    const reads = backwardReads(graph.nodes[i]);
    const through = reads.flatMap((id) => sources[id] ?? []);
    for (const id of new Set([...reads, ...through])) readers[id].push(2 * n - 1 - i);
  }
  const dead = Array.from({ length: 2 * n }, (): number[] => []);
  readers.forEach((visits, id) => {
    if (id === graph.input || id === graph.output || graph.auxiliary?.includes(id)) return;
    visits.forEach((visit, k) => {
      const next = visits[k + 1] ?? Number.POSITIVE_INFINITY;
      const between = sources[id] !== null && next >= n && next > visit + 1;
      if (between || k === visits.length - 1) dead[visit].push(id);
    });
  });
  return dead;
}

/** Values that a node's backward pass reads: also the output where that says which voxel was the maximum. */
function backwardReads(node: GraphNode): number[] {
  return node.kind === "maxpool" ? [...node.inputs, node.output] : node.inputs;
}

/**
 * The tensors from which cheap stages make a tensor's values again: none for a convolution with a tail, whose own output is kept
 * (what follows is y = a z + b), the input of a transposed convolution. Null where the values must stay.
 */
export function remadeFrom(graph: Graph, id: number): number[] | null {
  const producer = (tensor: number): GraphNode | undefined => graph.nodes.find((node) => node.output === tensor);
  const node = producer(id);
  if (node?.kind === "conv" && node.tail) return [];
  if (node?.kind === "upconv" && producer(node.inputs[0])?.kind !== "upconv") return node.inputs;
  return null;
}
