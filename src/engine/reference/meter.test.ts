import { describe, expect, test } from "vitest";
import { conformanceCases, smallGraph } from "../conformance-cases.ts";
import type { TensorMap } from "../types.ts";
import { createReferenceBackend } from "./backend.ts";
import { channelSums } from "./meter.ts";
import { forward, lossAndGradients, lossOfPass, type Values } from "./program.ts";

const backend = createReferenceBackend();

test("sums of two channels in two items by hand", () => {
  const u = Float64Array.of(1, -2, 3, 0, 0, 5, -1, -1);
  const g = Float64Array.of(1, 1, 2, 7, 9, -1, 3, -2);
  expect(channelSums(u, g, { batch: 2, channels: 2 })).toEqual({
    voxels: 2,
    batch: 2,
    channels: 2,
    l1: Float64Array.of(3, 3, 5, 2),
    l2: Float64Array.of(5, 9, 25, 2),
    taylor: Float64Array.of(-1, 6, -5, -1),
  });
});

describe("one convolution of one channel", () => {
  const graph = smallGraph({
    batch: 2,
    shape: [1, 1, 2],
    inputChannels: 1,
    widths: [[1]],
    decoder: [],
    kernels: [[1, 1, 1]],
    pools: [],
    skips: [],
    outputChannels: 1,
    output: "sigmoid",
    tail: { order: "conv-act-norm", norm: "none", slope: 0.5, eps: 0, momentum: 0.1 },
  });
  // u = 2 x - 1, then leaky ReLU, then logits y ln 3: odds 3^y.
  const params: TensorMap = new Map(
    Object.entries({
      "bottleneck.0.weight": [2],
      "bottleneck.0.bias": [-1],
      "head.weight": [Math.log(3)],
      "head.bias": [0],
    }).map(([name, list]) => [name, Float32Array.from(list)]),
  );
  const loss = { crossEntropy: 1, eps: 0, includeBackground: true };
  // u = (1, -2) and (2, 0).
  const batch = { input: Float32Array.of(1, -0.5, 1.5, 0.5), target: Uint8Array.of(0, 1, 1, 0) };

  test.each([
    // y = (1, -1) and (2, 0): p = 3/4, 1/4, 9/10, 1/2. g = ln 3 (p - t) / 4 voxels, times 1/2 where u <= 0.
    { name: "no dropout", dropout: undefined, taylor: [0.75 / 4 + (-2 * 0.5 * -0.75) / 4, (2 * -0.1) / 4] },
    // y = (2, -2) and (0, 0): p = 9/10, 1/10, 1/2, 1/2; the factor 2 or 0 belongs to g too.
    { name: "factors 2 and 0", dropout: [2, 0], taylor: [(2 * 0.9) / 4 + (2 * -2 * 0.5 * -0.9) / 4, 0] },
  ])("$name", async ({ dropout, taylor }) => {
    const meter = await backend.meter(graph, loss);
    meter.setParameters(params);
    const factors = dropout && new Map([["bottleneck.0", Float32Array.from(dropout)]]);
    const { channels } = meter.measure(batch, { dropout: factors });
    expect([...channels.keys()]).toEqual(["bottleneck.0"]);
    const sums = channels.get("bottleneck.0")!;
    expect({ ...sums, taylor: null }).toEqual({
      voxels: 2,
      batch: 2,
      channels: 1,
      l1: Float64Array.of(3, 2),
      l2: Float64Array.of(5, 4),
      taylor: null,
    });
    // ln 3 as a float has 7 digits.
    taylor.forEach((value, n) => {
      expect(sums.taylor[n]).toBeCloseTo(Math.log(3) * value, 7);
    });
  });
});

describe("taylor is the slope of the loss as a channel is scaled", () => {
  // Both orders and all norms, two sources, 2D, sigmoid.
  const cases = conformanceCases().filter(({ name }) =>
    /^conv-.*slope 0(\.01)?$|^two sources|^2D, 2 pools|^sigmoid 2/.test(name),
  );
  test.each(cases)("$name", ({ graph, params, batches: [batch], spec, dropout }) => {
    const wide: Values = new Map([...params].map(([name, data]) => [name, Float64Array.from(data)]));
    const factors = dropout?.[0];
    const loss = (): number => {
      const pass = forward(graph, wide, batch.input, { training: true, dropout: factors });
      return lossOfPass(graph, pass, batch, spec.loss).loss;
    };
    /** Multiplies the filter and the bias that make channel 0 of a node. */
    const scale = (name: string, kind: "conv" | "upconv", by: number): void => {
      const { shape } = graph.params.find((p) => p.name === `${name}.weight`)!;
      const [weight, bias] = [wide.get(`${name}.weight`)!, wide.get(`${name}.bias`)!];
      const run = kind === "conv" ? weight.length / shape[0] : shape[2] * shape[3] * shape[4];
      const stride = kind === "conv" ? weight.length : run * shape[1];
      for (let i = 0; i < weight.length; i++) if (i % stride < run) weight[i] *= by;
      bias[0] *= by;
    };
    const checks: (() => void)[] = [];
    lossAndGradients(graph, wide, batch, spec.loss, factors, (node, u, g) => {
      const channels = graph.tensors[node.output].channels;
      const first = (of: { taylor: Float64Array }): number =>
        of.taylor.filter((_, i) => i % channels === 0).reduce((a, b) => a + b, 0);
      const sizes = { batch: graph.batch, channels };
      const taylor = first(channelSums(u, g, sizes));
      const magnitude = first(channelSums(u.map(Math.abs), g.map(Math.abs), sizes));
      checks.push(() => {
        // Small enough to keep clear of the kinks of ReLU and max pool.
        const step = 1e-6;
        const [above, below] = [1 + step, 1 - step].map((by) => {
          scale(node.name, node.kind, by);
          const value = loss();
          scale(node.name, node.kind, 1 / by);
          return value;
        });
        // What differences lose: about 1e-16 of a loss near 1, over the step.
        const error = Math.abs((above - below) / (2 * step) - taylor);
        expect(error, node.name).toBeLessThan(1e-5 * magnitude + 1e-9);
      });
    });
    for (const check of checks) check();
  });
});
