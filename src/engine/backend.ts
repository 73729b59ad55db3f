import { fail } from "../util/errors.ts";
import { checkNode } from "../util/node-version.ts";
import type { Backend, ImmediateBackend } from "./types.ts";

export const engineNames = ["wasm", "webgpu", "reference"] as const;
export type EngineName = (typeof engineNames)[number];

export interface BackendOptions<Name extends EngineName = EngineName> {
  /** "wasm" is the fast one and the default; "webgpu" runs on a graphics card; "reference" is the plain one in float64. */
  name?: Name;
  /** Compute threads of the wasm backend; default: all processors. */
  threads?: number;
  /** Forces a register tile or direct convolution of the wasm backend, where the choice is not to be the probe's. */
  tiles?: "merged-256" | "fma-128" | "mul-add-128";
  winograd?: boolean | 2 | 4;
  /** Of the webgpu backend: a device to work on instead of one that is asked for. */
  device?: GPUDevice;
}

/**
 * Starts a backend. Close it when done: it may hold worker threads or a device. Throws a UserError on a Node that is too old, and where
 * WebGPU is asked for and missing.
 */
export function createBackend(options?: BackendOptions<"wasm" | "reference">): Promise<ImmediateBackend>;
export function createBackend(options: BackendOptions): Promise<Backend>;
export async function createBackend(options: BackendOptions = {}): Promise<Backend> {
  checkNode();
  const name = options.name ?? "wasm";
  if (name === "reference") return (await import("./reference/backend.ts")).createReferenceBackend();
  if (name === "wasm") {
    const { threads, tiles, winograd } = options;
    return (await import("./wasm/backend.ts")).createWasmBackend({ threads, tiles, winograd });
  }
  if (name === "webgpu") return (await import("./webgpu/backend.ts")).createWebGpuBackend({ device: options.device });
  return fail(`Unknown engine "${name}": expected ${engineNames.join(", ")}.`);
}
