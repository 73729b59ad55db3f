import { afterEach, expect, test, vi } from "vitest";
import { describeOnGpu, newDevice } from "../../../test/webgpu.fixture.ts";
import type { Vec3 } from "../../volume/volume.ts";
import { conformanceCase } from "../conformance-cases.ts";
import type { Trainer } from "../types.ts";
import { createWebGpuBackend, DeviceLostError, type WebGpuBackend, type WebGpuOptions } from "./backend.ts";

const cube: Vec3 = [3, 3, 3];
/** One pool, planes of 9 KB and few parameters. */
const small = conformanceCase(
  "small",
  {
    ...{ batch: 2, shape: [6, 24, 24], inputChannels: 1, widths: [[4], [4]], decoder: [{ up: 4, convs: [4] }] },
    ...{ kernels: [cube, cube], pools: [[1, 2, 2]], skips: [true], outputChannels: 2, output: "softmax" },
    tail: { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 },
  },
  0,
);
/** Backends of all tests but one work on one device, so that it compiles once. */
let shared: Promise<GPUDevice> | undefined;
const started: WebGpuBackend[] = [];
const start = async (options: WebGpuOptions = {}): Promise<WebGpuBackend> => {
  shared ??= newDevice();
  const backend = await createWebGpuBackend({ device: await shared, ...options });
  started.push(backend);
  return backend;
};
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const each of started.splice(0)) await each.close();
});

const trainerOf = async (backend: WebGpuBackend): Promise<Trainer> => {
  const trainer = await backend.trainer(small.graph, small.spec);
  trainer.setParameters(small.params);
  return trainer;
};
const logitsOf = async (backend: WebGpuBackend): Promise<Float32Array> => {
  const program = await backend.inference(small.graph);
  program.setParameters(small.params);
  return program.logits(small.batches[0].input);
};
const options = { learningRate: 0.01 };

test("no adapter is said in words", async () => {
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => null } });
  await expect(createWebGpuBackend()).rejects.toThrow(
    "WebGPU found no graphics adapter on this machine: check its driver, or use the wasm engine.",
  );
});

describeOnGpu("webgpu backend", () => {
  test("makes the same bits twice", async () => {
    const backend = await start();
    const run = async (): Promise<unknown> => {
      const trainer = await trainerOf(backend);
      const results = [];
      for (const batch of small.batches) results.push(await trainer.step(batch, options));
      return [results, await trainer.getParameters(), await trainer.getState()];
    };
    expect(await run()).toEqual(await run());
  });

  test.each([
    // Bindings of an item of 4 channels, 55 KB, are possible, of a batch not.
    ["by items", 64 * 1024],
    // 4 planes are, 6 not: 2 with the halo of a convolution.
    ["by slabs of planes", 38 * 1024],
  ])("tensors larger than a binding are split %s", async (_, bindingLimit) => {
    const [whole, split] = [await start(), await start({ bindingLimit })];
    // A convolution adds up in the same order wherever a slab ends.
    expect(await logitsOf(split)).toEqual(await logitsOf(whole));
    const [truth, found] = await Promise.all(
      [whole, split].map(async (backend) => (await trainerOf(backend)).gradients(small.batches[0])),
    );
    expect(found.loss).toBeCloseTo(truth.loss, 5);
    const top = Math.max(...[...truth.gradients.values()].flatMap((values) => Array.from(values, Math.abs)));
    for (const [key, values] of truth.gradients) {
      // Sums are made of other parts, so the last bits differ.
      const gap = Math.max(...values.map((value, i) => Math.abs(value - found.gradients.get(key)![i])));
      expect(gap / top, key).toBeLessThan(1e-5);
    }
  });

  test("what does not fit in any way is refused in words", async () => {
    const backend = await start({ bindingLimit: 1024 });
    await expect(backend.inference(small.graph)).rejects.toThrow(/use a smaller patch|use a narrower net/);
  });

  test("a device that is lost in the middle rejects what runs and what comes after", async () => {
    const device = await newDevice();
    const backend = await start({ device });
    const program = await backend.inference(small.graph);
    program.setParameters(small.params);
    await program.logits(small.batches[0].input);
    const running = program.logits(small.batches[1].input);
    device.destroy();
    await expect(running).rejects.toThrow(DeviceLostError);
    await expect(Promise.resolve(program.logits(small.batches[0].input))).rejects.toThrow(
      "The graphics device was lost",
    );
    await expect(backend.inference(small.graph)).rejects.toThrow(DeviceLostError);
  });

  test("closed programs and closed backends say so", async () => {
    const backend = await start();
    const program = await backend.inference(small.graph);
    program.setParameters(small.params);
    program.close();
    await expect(Promise.resolve(program.logits(small.batches[0].input))).rejects.toThrow(
      "Expected an open program, but this one was closed",
    );
    await backend.close();
    await expect(backend.inference(small.graph)).rejects.toThrow("Expected an open backend");
  });
});
