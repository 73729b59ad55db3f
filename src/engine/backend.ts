import { fail } from "../util/errors.ts";
import { checkNode } from "../util/node-version.ts";
import type { ImmediateBackend } from "./types.ts";

export interface BackendOptions {
  /** "wasm" is the fast one and the default; "reference" is the plain one in float64. */
  name?: "wasm" | "reference";
  /** Compute threads of the wasm backend; default: all processors. */
  threads?: number;
  /** Forces a register tile or direct convolution of the wasm backend, where the choice is not to be the probe's. */
  tiles?: "merged-256" | "fma-128" | "mul-add-128";
  winograd?: boolean | 2 | 4;
}

/** Starts a backend. Close it when done: it may hold worker threads. Throws a UserError on a Node that is too old. */
export async function createBackend(options: BackendOptions = {}): Promise<ImmediateBackend> {
  checkNode();
  const name = options.name ?? "wasm";
  if (name === "reference") return (await import("./reference/backend.ts")).createReferenceBackend();
  if (name === "wasm") {
    const { threads, tiles, winograd } = options;
    return (await import("./wasm/backend.ts")).createWasmBackend({ threads, tiles, winograd });
  }
  return fail(`Unknown engine "${name}": expected wasm or reference.`);
}
