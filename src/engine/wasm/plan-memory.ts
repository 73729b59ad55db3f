import { processors } from "../../util/processors.ts";
import type { Graph } from "../graph.ts";
import type { TrainSpec } from "../types.ts";
import type { MemoryPlan } from "./arena.ts";
import { placeInference } from "./inference.ts";
import { placeMeter } from "./meter.ts";
import { type Placing, tileChoices } from "./tiles.ts";
import { placeTraining } from "./trainer.ts";

/**
 * What a trainer of the wasm backend would hold, or without a spec an inference: the same numbers, as the same code lays out the
 * memory, without making the program, and also beyond the engine's limit (MEMORY_LIMIT). `placing` is the backend's and
 * by default what createWasmBackend takes on a machine that merges vectors: other register tiles differ in kilobytes at most, a forced size
 * of Winograd's tiles in megabytes for wide nets, and each thread has scratch memory of its own. Takes milliseconds. Throws UserError for a
 * graph that does not fit together.
 */
export function planMemory(graph: Graph, spec?: TrainSpec, placing: Partial<Placing> = {}): MemoryPlan {
  const { tiles = tileChoices["merged-256"], threads = processors() } = placing;
  const { arena } = spec ? placeTraining(graph, spec, { tiles, threads }) : placeInference(graph, { tiles, threads });
  return arena.plan();
}

/** As {@link planMemory}, of the meter that ranks channels. */
export function planMeterMemory(
  graph: Graph,
  spec: Pick<TrainSpec, "loss" | "recompute">,
  placing: Partial<Placing> = {},
): MemoryPlan {
  const { tiles = tileChoices["merged-256"], threads = processors() } = placing;
  return placeMeter(graph, spec, { tiles, threads }).arena.plan();
}
