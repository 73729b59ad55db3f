import { fail } from "../util/errors.ts";
import type { Backend } from "./types.ts";

export interface BackendOptions {
  /** "wasm" is the fast one and the default; "reference" is the plain one in float64. */
  name?: "wasm" | "reference";
  /** Compute threads of the wasm backend; default: all processors. */
  threads?: number;
}

/** Starts a backend. Close it when done: it may hold worker threads. */
export async function createBackend(options: BackendOptions = {}): Promise<Backend> {
  const name = options.name ?? "wasm";
  if (name === "reference") return (await import("./reference/backend.ts")).createReferenceBackend();
  if (name === "wasm") return (await import("./wasm/backend.ts")).createWasmBackend({ threads: options.threads });
  return fail(`Unknown engine "${name}": expected wasm or reference.`);
}
