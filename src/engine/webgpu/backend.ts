import type { Backend } from "../types.ts";
import { openGpu, type WebGpuOptions } from "./device.ts";
import { createInference } from "./inference.ts";

export { DeviceLostError, type WebGpuOptions } from "./device.ts";

export interface WebGpuBackend extends Backend {
  /** As in "NVIDIA GeForce RTX 4070"; empty where the browser does not say. */
  readonly adapterName: string;
}

export async function createWebGpuBackend(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const gpu = await openGpu(options);
  return {
    name: "webgpu",
    adapterName: gpu.adapterName,
    inference: (graph) => createInference(graph, gpu),
    trainer: async () => {
      throw new Error("not yet");
    },
    meter: async () => {
      throw new Error("not yet");
    },
    close: async () => gpu.close(),
  };
}
