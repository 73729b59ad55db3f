import type { MemoryPlan, MemoryUse } from "../engine/wasm/arena.ts";
import { createWasmBackend } from "../engine/wasm/backend.ts";
import { planMemory } from "../engine/wasm/plan-memory.ts";
import { buildGraph } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import { presetSettings, trainSpecOf } from "../train/presets.ts";
import { textTable } from "../util/text-table.ts";
import type { Vec3 } from "../volume/volume.ts";

/** What the engine takes for a net, by use: exactly what its programs hold, weights and copies included. */
export interface NetMemory {
  inference: MemoryPlan;
  /** A step with the optimiser of the preset `strong`. */
  training: MemoryPlan;
  /** The same with --low-memory. */
  lowMemory: MemoryPlan;
}

/** `exact` asks this machine's engine for its tiles, which takes a moment; others differ by some scratch. */
export async function netMemory(
  net: NetSpec,
  { batch, patch, exact }: { batch: number; patch: Vec3; exact: boolean },
): Promise<NetMemory> {
  const graph = buildGraph(net, { batch, shape: patch });
  const dimensions = patch[0] === 1 ? 2 : 3;
  const settings = presetSettings("strong", { patch, pools: net.pools, dimensions, batch });
  const tiles = exact ? await tilesOfEngine() : undefined;
  return {
    inference: planMemory(graph, undefined, { tiles }),
    training: planMemory(graph, trainSpecOf(settings), { tiles }),
    lowMemory: planMemory(graph, trainSpecOf(settings, true), { tiles }),
  };
}

async function tilesOfEngine() {
  const backend = await createWasmBackend({ threads: 1 });
  await backend.close();
  return backend.tiles;
}

const names: Record<MemoryUse, string> = {
  weights: "weights",
  preparedWeights: "weights in other forms",
  weightGradients: "gradients of weights",
  partialSums: "partial sums of these",
  moments: "moments",
  average: "average of weights",
  activations: "activations",
  gradients: "gradients of activations",
  batch: "input, target, logits",
  scratch: "scratch",
  other: "other",
};

/** A row a use that takes something, in MiB, and the totals. */
export function memoryTable(memory: NetMemory): string {
  const plans = [memory.inference, memory.training, memory.lowMemory];
  const uses = (Object.keys(names) as MemoryUse[]).filter((use) => plans.some((plan) => plan.uses[use] > 0));
  const row = (name: string, values: number[]): string[] => [
    name,
    ...values.map((bytes) => (bytes / 2 ** 20).toFixed(1)),
  ];
  return textTable(
    [
      ["MiB", "predict", "train", "--low-memory"],
      ...uses.map((use) =>
        row(
          names[use],
          plans.map((plan) => plan.uses[use]),
        ),
      ),
      row(
        "total",
        plans.map((plan) => plan.total),
      ),
    ],
    1,
  );
}
