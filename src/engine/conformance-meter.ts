import type { ConformanceCase } from "./conformance-cases.ts";
import { type Numbers, sameBits, worst } from "./conformance-compare.ts";
import type { Graph } from "./graph.ts";
import { channelSums } from "./reference/meter.ts";
import { lossAndGradients } from "./reference/program.ts";
import type { Backend, ChannelSums, TensorMap } from "./types.ts";

/** What the reference measures on a case's first batch. */
export interface MeterTruth {
  loss: number;
  channels: Map<string, ChannelSums>;
  /** The same of |u| and |g|. A norm makes the sums of u g cancel, so the sums of |u g| are what errors are relative to. */
  magnitudes: Map<string, ChannelSums>;
}

export function meterTruth({ graph, params, batches, spec, dropout }: ConformanceCase): MeterTruth {
  const wide = new Map([...params].map(([name, data]) => [name, Float64Array.from(data)]));
  const [channels, magnitudes] = [0, 1].map(() => new Map<string, ChannelSums>());
  const { loss } = lossAndGradients(graph, wide, batches[0], spec.loss, dropout?.[0], (node, u, g) => {
    if (node.kind === "conv" && !node.tail) return;
    const sizes = { batch: graph.batch, channels: graph.tensors[node.output].channels };
    channels.set(node.name, channelSums(u, g, sizes));
    magnitudes.set(node.name, channelSums(u.map(Math.abs), g.map(Math.abs), sizes));
  });
  return { loss, channels: new Map([...channels].reverse()), magnitudes };
}

const kinds = ["l1", "l2", "taylor"] as const;

/** The sums of one kind, by node name. */
function pick(channels: Map<string, ChannelSums>, kind: (typeof kinds)[number]): Numbers {
  return new Map([...channels].map(([name, sums]) => [name, sums[kind]]));
}

/** All sums in one map, to compare bits. */
function flat(channels: Map<string, ChannelSums>): Numbers {
  return new Map(
    [...channels].flatMap(([name, sums]) => kinds.map((kind) => [`${name} ${kind}`, sums[kind]] as const)),
  );
}

/** Sums over the batch: [N * C] -> [C]. */
function overBatch({ batch, channels, taylor }: ChannelSums): Float64Array {
  const sums = new Float64Array(channels);
  for (let i = 0; i < batch * channels; i++) sums[i % channels] += taylor[i];
  return sums;
}

/** For each output channel of each metered node: sum of w dL/dw over its filter, plus b dL/db. */
function filterProducts(graph: Graph, params: TensorMap, gradients: TensorMap): Map<string, Float64Array> {
  const products = new Map<string, Float64Array>();
  for (const node of graph.nodes) {
    if (node.kind === "maxpool" || (node.kind === "conv" && !node.tail)) continue;
    const channels = graph.tensors[node.output].channels;
    const sums = new Float64Array(channels);
    for (const part of ["weight", "bias"]) {
      const values = params.get(`${node.name}.${part}`)!;
      const slopes = gradients.get(`${node.name}.${part}`)!;
      // Of a convolution's weight the output channel is the first axis, of a transposed one's the second.
      const inner = node.kind === "conv" ? values.length / channels : node.factor[0] * node.factor[1] * node.factor[2];
      const run = part === "bias" ? 1 : inner;
      for (let i = 0; i < values.length; i++) sums[Math.floor(i / run) % channels] += values[i] * slopes[i];
    }
    products.set(node.name, sums);
  }
  return products;
}

export interface MeterResult {
  loss: number;
  /**
   * The worst of l1, l2 and taylor against the reference, and of taylor against a law: as scaling a filter and its bias scales u,
   * taylor summed over the batch is the sum of w dL/dw and b dL/db. Relative to the node's largest l1, l2 or sum of |u g|, or
   * 1/1000 of the largest of all nodes.
   */
  error: number;
  name: string;
  /** All sums by node and kind, to compare runs with each other. */
  sums: Numbers;
}

/** Measures a case's first batch. `gradients` are the backend's own for that batch. */
export async function checkMeter(
  backend: Backend,
  test: ConformanceCase,
  truth: MeterTruth,
  gradients: TensorMap,
  problems: string[],
): Promise<MeterResult> {
  const { graph, batches } = test;
  const meter = await backend.meter(graph, test.spec.loss);
  meter.setParameters(test.params);
  const options = { dropout: test.dropout?.[0] };
  const { loss, channels } = await meter.measure(batches[0], options);
  const sums: Numbers = new Map([...flat(channels)].map(([name, data]) => [name, data.slice()]));
  await meter.measure(batches[1]);
  if (!sameBits(flat(channels), sums)) problems.push("sums handed out were changed by a later call");
  const again = (await meter.measure(batches[0], options)).channels;
  if (!sameBits(flat(again), sums)) problems.push("the same batch gave other sums after another batch");
  meter.close();

  const sizes = (of: Map<string, ChannelSums>): string =>
    [...of].map(([name, s]) => `${name} ${s.batch} x ${s.channels} x ${s.voxels}`).join(", ");
  if (sizes(channels) !== sizes(truth.channels)) {
    problems.push(`expected sums of ${sizes(truth.channels)}, but got ${sizes(channels)}`);
  }
  const total = (of: Map<string, ChannelSums>): Numbers =>
    new Map([...of].map(([name, each]) => [name, overBatch(each)]));
  const products = filterProducts(graph, test.params, gradients);
  const errors = kinds.map((kind) => {
    const [found, expected, scale] = [channels, truth.channels, truth.magnitudes].map((of) => pick(of, kind));
    const { error, name } = worst(found, expected, 1e-3, scale);
    return { error, name: `${kind} of ${name}` };
  });
  const law = worst(total(channels), products, 1e-3, total(truth.magnitudes));
  errors.push({ error: law.error, name: `taylor of ${law.name} against its filters' gradients` });
  return { loss, ...errors.reduce((a, b) => (b.error > a.error ? b : a)), sums };
}
