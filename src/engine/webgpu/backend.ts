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

/**
 * WGSL kernels on a graphics card, in float32: in browsers, and in Node through the optional package "webgpu". `recompute` is ignored:
 * activations stay on the device. Throws a UserError where there is no adapter; calls reject with a {@link DeviceLostError} once the
 * device is lost.
 */
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
