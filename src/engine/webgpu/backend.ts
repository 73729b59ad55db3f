import type { Backend } from "../types.ts";
import { openGpu, type WebGpuOptions } from "./device.ts";
import { createInference } from "./inference.ts";
import { createMeter } from "./meter.ts";
import { createTrainer } from "./trainer.ts";

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
    trainer: (graph, spec) => createTrainer(graph, spec, gpu),
    meter: (graph, loss) => createMeter(graph, loss, gpu),
    close: async () => gpu.close(),
  };
}
