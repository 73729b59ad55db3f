import { fail } from "../../util/errors.ts";
import { processors } from "../../util/processors.ts";
import type { Graph } from "../graph.ts";
import type { Immediate, ImmediateBackend, Inference, Trainer, TrainSpec } from "../types.ts";
import { createInference } from "./inference.ts";
import { createMeter } from "./meter.ts";
import { askForWideVectors, type ProbeResult, probe } from "./probe.ts";
import type { Staged } from "./runtime.ts";
import { createTeam } from "./team.ts";
import { type TileChoice, tileChoices } from "./tiles.ts";
import { createTrainer } from "./trainer.ts";

export interface WasmBackendOptions {
  /** Compute threads; default: all processors. Results do not depend on it. */
  threads?: number;
  /** Forces a register tile instead of the probe's choice. */
  tiles?: TileChoice["name"];
  /** False: direct convolution everywhere. 2 or 4: Winograd tiles of this size wherever they fit. */
  winograd?: boolean | 2 | 4;
}

export interface WasmBackend extends ImmediateBackend {
  readonly threads: number;
  readonly tiles: TileChoice;
  /** One thread's rates as probed on this machine. */
  probe(): Promise<ProbeResult>;
  inference(graph: Graph): Promise<Immediate<Inference> & Staged>;
  trainer(graph: Graph, spec: TrainSpec): Promise<Immediate<Trainer> & Staged>;
}

let probed: Promise<ProbeResult> | undefined;

/** The probe runs once in a process. */
function probeOnce(): Promise<ProbeResult> {
  probed ??= probe();
  return probed;
}

/** WebAssembly SIMD kernels made for each shape, on worker threads over one shared memory. */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  const threads = options.threads ?? processors();
  if (!Number.isInteger(threads) || threads < 1) {
    fail(`Expected a whole number of compute threads, 1 or more, but got ${threads}.`);
  }
  if (options.tiles) askForWideVectors();
  const chosen = options.tiles ? tileChoices[options.tiles] : (await probeOnce()).chosen;
  const tiles = { ...chosen };
  if (options.winograd === false) tiles.winogradFrom = Number.POSITIVE_INFINITY;
  else if (typeof options.winograd === "number") tiles.winogradTile = options.winograd;
  const team = createTeam(threads);
  return {
    name: "wasm",
    threads: team.threads,
    tiles,
    probe: probeOnce,
    inference: (graph) => createInference(graph, team, tiles),
    trainer: (graph, spec) => createTrainer(graph, spec, team, tiles),
    meter: (graph, loss, recompute) => createMeter(graph, { loss, recompute }, team, tiles),
    close: () => team.close(),
  };
}
