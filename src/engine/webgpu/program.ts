import { fail } from "../../util/errors.ts";
import type { Gpu } from "./device.ts";
import { type Operand, type Part, partsOf, rangeOf } from "./field.ts";
import { type Kernel, packParams, shaderCode } from "./kernel.ts";
import { createMemoryPlan, type MemoryPlan, type Slot } from "./memory.ts";

/** A part of a buffer, in bytes; the whole buffer where nothing is given. */
export interface Range {
  slot: Slot;
  offset?: number;
  size?: number;
}

interface Dispatch {
  kernel: Kernel;
  params: Record<string, number>;
  buffers: Record<string, Range>;
  groups: [number, number, number];
}

/** What a part of an iteration binds: a range and the parameter `NAMEAt` (its first element) for each operand. */
export interface Bound {
  buffers: Record<string, Range>;
  params: Record<string, number>;
}

/** A list of dispatches over planned buffers. */
export interface ProgramBuilder {
  memory: MemoryPlan;
  bindingLimit: number;
  dispatch(kernel: Kernel, params: Dispatch["params"], buffers: Dispatch["buffers"], groups: Dispatch["groups"]): void;
  /** Calls `run` once, or for each part where an operand is larger than a binding. */
  split(operands: Record<string, Operand>, batch: number, depth: number, run: (part: Part, bound: Bound) => void): void;
  /** Number of dispatches so far: the end of a stage. */
  mark(): number;
  /** Puts what `emit` dispatches in front of dispatch number `at`. */
  insert(at: number, emit: () => void): void;
  /** A and B of values that are stored as they are: pairs of 1 and 0, this many at least. */
  identity(pairs: number): Slot;
  /** To be uploaded when the program is loaded. */
  constant(label: string, data: Constant["data"]): Slot;
  readonly dispatches: readonly Dispatch[];
  readonly constants: Constant[];
}

interface Constant {
  slot: Slot;
  data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
}

export function createProgramBuilder({ bindingLimit }: Pick<Gpu, "bindingLimit">): ProgramBuilder {
  const memory = createMemoryPlan();
  const dispatches: Dispatch[] = [];
  const constants: Constant[] = [];
  const identity: Constant = { slot: memory.keep("identity", 0), data: new Float32Array() };
  constants.push(identity);
  return {
    memory,
    bindingLimit,
    dispatches,
    constants,
    mark: () => dispatches.length,
    dispatch(kernel, params, buffers, groups) {
      dispatches.push({ kernel, params, buffers, groups });
    },
    insert(at, emit) {
      const rest = dispatches.splice(at);
      emit();
      dispatches.push(...rest);
    },
    split(operands, batch, depth, run) {
      const parts = partsOf(Object.values(operands), batch, depth, bindingLimit);
      if (!parts) {
        const mib = Math.floor(bindingLimit / 2 ** 20);
        fail(
          `A slice of this net's tensors is larger than the ${mib} MiB that the graphics device binds at once: use a smaller patch, or the wasm engine.`,
        );
      }
      for (const part of parts) {
        const bound: Bound = { buffers: {}, params: {} };
        for (const [name, operand] of Object.entries(operands)) {
          const { offset, size, at } = rangeOf(operand, part);
          bound.buffers[name] = { slot: operand.field.slot, offset, size };
          bound.params[`${name}At`] = at;
        }
        run(part, bound);
      }
    },
    identity(pairs) {
      if (identity.data.length < 8 * pairs) {
        identity.data = Float32Array.from({ length: 8 * pairs }, (_, i) => (i % 8 < 4 ? 1 : 0));
        identity.slot.bytes = identity.data.byteLength;
      }
      return identity.slot;
    },
    constant(label, data) {
      const slot = memory.keep(label, data.byteLength);
      constants.push({ slot, data });
      return slot;
    },
  };
}

// As in the standard's GPUBufferUsage, GPUMapMode and GPUShaderStage, which Node has no globals for.
const [MAP_READ, COPY_SRC, COPY_DST, UNIFORM, STORAGE] = [1, 4, 8, 64, 128];
const READ = 1;
const COMPUTE = 4;
/** Distance of the dispatches' parameters in their buffer. */
const STRIDE = 256;

export interface Program {
  bytes: number;
  write(slot: Slot, data: ArrayBufferView<ArrayBuffer>, offset?: number): void;
  /** Runs stages of dispatches [from, to) in one go and reads ranges back, each into an array of its own. */
  run(stages: [number, number][], reads: Range[]): Promise<ArrayBuffer[]>;
  close(): void;
}

function layoutOf(gpu: Gpu, { bindings }: Kernel): { key: string; layout: GPUBindGroupLayout } {
  const writes = Object.values(bindings).map(({ write }) => Boolean(write));
  const key = writes.map((write) => (write ? "w" : "r")).join("");
  let layout = gpu.layouts.get(key);
  if (!layout) {
    const storage = writes.map((write): GPUBufferBindingLayout => ({ type: write ? "storage" : "read-only-storage" }));
    const entries = [{ type: "uniform" } as GPUBufferBindingLayout, ...storage].map((buffer, binding) => ({
      binding,
      visibility: COMPUTE,
      buffer,
    }));
    layout = gpu.device.createBindGroupLayout({ entries });
    gpu.layouts.set(key, layout);
  }
  return { key, layout };
}

function pipelineOf(gpu: Gpu, kernel: Kernel): Promise<GPUComputePipeline> {
  const code = shaderCode(kernel);
  const { layout, key } = layoutOf(gpu, kernel);
  const id = `${key} ${code}`;
  let pipeline = gpu.pipelines.get(id);
  if (!pipeline) {
    pipeline = gpu.device.createComputePipelineAsync({
      label: kernel.label,
      layout: gpu.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: gpu.device.createShaderModule({ label: kernel.label, code }), entryPoint: "main" },
    });
    gpu.pipelines.set(id, pipeline);
  }
  return pipeline;
}

/** Makes the planned buffers. Throws a UserError where the device has not as much memory. */
async function createBuffers(gpu: Gpu, slots: Slot[]): Promise<Map<Slot, GPUBuffer>> {
  const { device } = gpu;
  const { maxBufferSize } = device.limits;
  const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  const advice = "use a smaller patch or batch, or the wasm engine";
  const largest = Math.max(...slots.map(({ bytes }) => bytes));
  if (largest > maxBufferSize) {
    fail(
      `This net needs a buffer of ${mib(largest)} MiB, and the graphics device allows ${mib(maxBufferSize)} MiB: ${advice}.`,
    );
  }
  device.pushErrorScope("out-of-memory");
  const buffers = new Map(
    slots.map((slot) => {
      const usage = STORAGE | COPY_SRC | COPY_DST;
      return [slot, device.createBuffer({ label: slot.label, size: slot.bytes, usage })];
    }),
  );
  const refused = await gpu.finish(device.popErrorScope());
  if (refused) {
    for (const buffer of buffers.values()) buffer.destroy();
    const total = slots.reduce((sum, { bytes }) => sum + bytes, 0);
    fail(`This net needs ${mib(total)} MiB of graphics memory, and the device did not give them: ${advice}.`);
  }
  return buffers;
}

/** Compiles the kernels, makes the buffers and binds them. */
export async function loadProgram(builder: ProgramBuilder, gpu: Gpu): Promise<Program> {
  gpu.check();
  const { device } = gpu;
  const { dispatches } = builder;
  const { slots } = builder.memory;
  const [pipelines, buffers] = await Promise.all([
    gpu.finish(Promise.all(dispatches.map(({ kernel }) => pipelineOf(gpu, kernel)))),
    createBuffers(gpu, slots),
  ]);
  const held = new Uint8Array(Math.max(1, dispatches.length) * STRIDE);
  dispatches.forEach(({ kernel, params }, i) => {
    held.set(new Uint8Array(packParams(kernel.params, params)), i * STRIDE);
  });
  const uniforms = device.createBuffer({ label: "parameters", size: held.length, usage: UNIFORM | COPY_DST });
  device.queue.writeBuffer(uniforms, 0, held);
  const groups = dispatches.map(({ kernel, buffers: ranges }, i) => {
    const bindings = Object.keys(kernel.bindings).map((name, k): GPUBindGroupEntry => {
      const { slot, offset = 0, size = slot.bytes - offset } = ranges[name];
      return { binding: k + 1, resource: { buffer: buffers.get(slot)!, offset, size } };
    });
    return device.createBindGroup({
      label: kernel.label,
      layout: layoutOf(gpu, kernel).layout,
      entries: [{ binding: 0, resource: { buffer: uniforms, offset: i * STRIDE, size: STRIDE } }, ...bindings],
    });
  });
  for (const { slot, data } of builder.constants) device.queue.writeBuffer(buffers.get(slot)!, 0, data);
  let open = true;
  const check = (): void => {
    if (!open) fail("Expected an open program, but this one was closed: create another.");
    gpu.check();
  };
  return {
    bytes: held.length + slots.reduce((sum, { bytes }) => sum + bytes, 0),
    write(slot, data, offset = 0) {
      check();
      device.queue.writeBuffer(buffers.get(slot)!, offset, data);
    },
    async run(stages, reads) {
      check();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const [from, to] of stages) {
        for (let i = from; i < to; i++) {
          pass.setPipeline(pipelines[i]);
          pass.setBindGroup(0, groups[i]);
          pass.dispatchWorkgroups(...dispatches[i].groups);
        }
      }
      pass.end();
      const sizes = reads.map(({ slot, offset = 0, size = slot.bytes - offset }) => size);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const staging = device.createBuffer({ label: "results", size: total, usage: MAP_READ | COPY_DST });
      let at = 0;
      reads.forEach(({ slot, offset = 0 }, i) => {
        encoder.copyBufferToBuffer(buffers.get(slot)!, offset, staging, at, sizes[i]);
        at += sizes[i];
      });
      device.queue.submit([encoder.finish()]);
      await gpu.finish(staging.mapAsync(READ));
      gpu.check();
      const all = staging.getMappedRange();
      at = 0;
      const results = sizes.map((size) => {
        at += size;
        return all.slice(at - size, at);
      });
      staging.destroy();
      return results;
    },
    close() {
      open = false;
      for (const buffer of buffers.values()) buffer.destroy();
      uniforms.destroy();
    },
  };
}
