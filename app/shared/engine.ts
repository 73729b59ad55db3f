import { createBackend } from "../../src/engine/backend.ts";
import type { Backend } from "../../src/engine/types.ts";

/** What a user may choose: "auto" takes WebGPU where there is one, else wasm. */
export type EngineChoice = "auto" | "webgpu" | "wasm";

export interface Engine {
  backend: Backend;
  name: "webgpu" | "wasm";
  /** Compute threads; 1 on a GPU. */
  threads: number;
  /** Name of the graphics processor, where it is one and the browser tells. */
  adapter: string;
  /** Most bytes that all open programs took together. */
  peakBytes(): number;
}

/**
 * Starts an engine in a worker (the wasm engine's threads wait for each other, which a page itself may not). Where WebGPU is asked
 * for or possible and does not start, `say` hears why and wasm is started.
 */
export async function startEngine(choice: EngineChoice, say: (sentence: string) => void): Promise<Engine> {
  if (choice !== "wasm") {
    const adapter = await globalThis.navigator.gpu?.requestAdapter().catch(() => null);
    if (adapter) {
      try {
        const { createWebGpuBackend } = await import("../../src/engine/webgpu/backend.ts");
        return watched(await createWebGpuBackend(), "webgpu");
      } catch (error) {
        say(`WebGPU did not start (${reasonOf(error)}), so wasm computes.`);
      }
    } else {
      say("This browser offers no WebGPU, so wasm computes.");
    }
  }
  return watched(await createBackend({ name: "wasm" }), "wasm");
}

/** A reason inside a sentence. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

/** Keeps account of the memory that programs take. */
function watched(backend: Backend, name: Engine["name"]): Engine {
  let [now, peak] = [0, 0];
  const counted = <T extends { readonly bytes: number; close(): void }>(program: T): T => {
    const { bytes } = program;
    now += bytes;
    peak = Math.max(peak, now);
    const close = program.close.bind(program);
    program.close = () => {
      now -= bytes;
      close();
    };
    return program;
  };
  return {
    name,
    threads: "threads" in backend ? Number(backend.threads) : 1,
    adapter: "adapterName" in backend ? String(backend.adapterName) : "",
    peakBytes: () => peak,
    backend: {
      name: backend.name,
      inference: async (graph) => counted(await backend.inference(graph)),
      trainer: async (graph, spec) => counted(await backend.trainer(graph, spec)),
      meter: async (graph, loss, recompute) => counted(await backend.meter(graph, loss, recompute)),
      close: () => backend.close(),
    },
  };
}
