import { fail } from "../../util/errors.ts";

/** The device went away: unplugged, reset by its driver, or destroyed. Another engine can go on from the last state that was read. */
export class DeviceLostError extends Error {
  override readonly name = "DeviceLostError";
}

export interface WebGpuOptions {
  /** A device to work on; by default one is asked for, with as large buffers as its adapter has, and destroyed with the backend. */
  device?: GPUDevice;
  /** Most bytes of a binding, to split tensors earlier than the device asks for. */
  bindingLimit?: number;
}

/** A device with what is shared by its programs. */
export interface Gpu {
  device: GPUDevice;
  /** As in "NVIDIA GeForce RTX 4070"; empty where the adapter does not say. */
  adapterName: string;
  bindingLimit: number;
  /** Pipelines by layout and code. */
  readonly pipelines: Map<string, Promise<GPUComputePipeline>>;
  readonly layouts: Map<string, GPUBindGroupLayout>;
  /** Throws what went wrong with the device, if something did. */
  check(): void;
  /** Waits for work on the device; where the device is lost meanwhile it rejects with {@link DeviceLostError}. */
  finish<T>(work: Promise<T>): Promise<T>;
  close(): void;
}

/** What was compiled for a device, for all backends on it. */
const compiled = new WeakMap<GPUDevice, Pick<Gpu, "pipelines" | "layouts">>();

/** The adapter's description, or maker and architecture. */
function nameOf(info: GPUAdapterInfo | undefined): string {
  if (!info) return "";
  return info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(" ");
}

/** Bundlers must not follow it: it is a package of Node, and optional. */
const nodePackage = "webgpu";
let nodeGpu: GPU | undefined;

async function findGpu(): Promise<GPU> {
  const { navigator } = globalThis;
  if (navigator?.gpu) return navigator.gpu;
  if (!globalThis.process?.versions?.node) fail("This browser has no WebGPU: use another browser, or the wasm engine.");
  if (nodeGpu) return nodeGpu;
  let found: { create(options: string[]): GPU };
  try {
    found = await import(/* @vite-ignore */ nodePackage);
  } catch {
    return fail(
      'The webgpu engine needs the npm package "webgpu" in Node, and it is not there: run "npm install webgpu", or use the wasm engine.',
    );
  }
  // Kept for the process's life: its devices end with it.
  nodeGpu = found.create([]);
  return nodeGpu;
}

async function requestDevice(): Promise<GPUDevice> {
  const gpu = await findGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    return fail("WebGPU found no graphics adapter on this machine: check its driver, or use the wasm engine.");
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
}

/** Opens a device. Throws a UserError where there is none. */
export async function openGpu(options: WebGpuOptions = {}): Promise<Gpu> {
  const device = options.device ?? (await requestDevice());
  let lost: DeviceLostError | undefined;
  let failure: Error | undefined;
  let closed = false;
  const caches = compiled.get(device) ?? { pipelines: new Map(), layouts: new Map() };
  compiled.set(device, caches);
  const whenLost = device.lost.then(({ message, reason }) => {
    if (closed) return;
    const why = message || (reason === "destroyed" ? "it was destroyed" : "its driver gave no reason");
    lost = new DeviceLostError(`The graphics device was lost (${why}): start again, or use the wasm engine.`);
  });
  const note = ({ error }: GPUUncapturedErrorEvent): void => {
    failure ??= new Error(`WebGPU: ${error.message}`);
  };
  device.addEventListener("uncapturederror", note);
  const check = (): void => {
    if (closed) fail("Expected an open backend, but this one was closed: create another.");
    if (lost) throw lost;
    if (failure) throw failure;
  };
  return {
    device,
    adapterName: nameOf(device.adapterInfo),
    bindingLimit: Math.min(options.bindingLimit ?? Number.POSITIVE_INFINITY, device.limits.maxStorageBufferBindingSize),
    ...caches,
    check,
    async finish(work) {
      try {
        return await work;
      } catch (error) {
        // A lost device rejects what waits for it, and may tell only a moment later that it is lost.
        await Promise.race([whenLost, new Promise((resolve) => setTimeout(resolve, 50))]);
        check();
        throw error;
      }
    },
    close() {
      if (closed) return;
      closed = true;
      device.removeEventListener("uncapturederror", note);
      if (!options.device) device.destroy();
    },
  };
}
