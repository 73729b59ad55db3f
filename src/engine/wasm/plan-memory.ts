import type { Graph } from "../graph.ts";
import type { TrainSpec } from "../types.ts";
import type { MemoryPlan } from "./arena.ts";
import { placeInference } from "./inference.ts";
import { type TileChoice, tileChoices } from "./tiles.ts";
import { placeTraining } from "./trainer.ts";

/**
 * What a trainer of the wasm backend would hold, or without a spec an inference: the same numbers, as the same code lays out the
 * memory, without making the program, and also beyond the engine's limit (MEMORY_LIMIT). `tiles` are the backend's: others
 * differ in kilobytes at most. Takes milliseconds. Throws UserError for a graph that does not fit together.
 */
export function planMemory(graph: Graph, spec?: TrainSpec, tiles: TileChoice = tileChoices["merged-256"]): MemoryPlan {
  const { arena } = spec ? placeTraining(graph, spec, tiles) : placeInference(graph, tiles);
  return arena.plan();
}
