// Child process of run.ts: times our engine on one job and prints one JSON line.
import { createBackend } from "../src/engine/backend.ts";
import type { Backend, TrainSpec } from "../src/engine/types.ts";
import type { WasmBackend } from "../src/engine/wasm/backend.ts";
import { sampleModel } from "../src/model/sample.ts";
import { buildGraph, initialise } from "../src/net/build.ts";
import { classProbabilities } from "../src/predict/probabilities.ts";
import { type Job, type Measurement, netOf, shapeOf } from "./cases.ts";
import { measure } from "./clock.ts";
import { meanOfFirstClass, sampleInput } from "./input.ts";

/** The wasm backend tells how fast one thread multiplies and adds, and which register tiles it chose. */
type ProbedBackend = Backend & Partial<Pick<WasmBackend, "probe">>;

/** As in bench/peers/torch_unet.py: soft Dice over both classes and Adam. */
const spec: TrainSpec = {
  loss: { dice: 1, eps: 1e-5, includeBackground: true },
  optimiser: { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
  clip: 0,
  ema: 0,
};

const job = JSON.parse(process.argv[2]) as Job;
const net = netOf(job);
const graph = buildGraph(net, { batch: job.batch, shape: shapeOf(job) });
const input = sampleInput(job);
const backend: ProbedBackend = await createBackend({ name: job.engine, threads: job.threads });
const result = job.mode === "infer" ? await infer() : await train();
const probed = await backend.probe?.();
await backend.close();
const peak = probed && { peakGflops: job.threads * probed.peak, tiles: probed.chosen.name };
const line: Measurement = { ...result, ...peak, version: `node ${process.versions.node}` };
process.stdout.write(`${JSON.stringify(line)}\n`);

async function infer() {
  const program = await backend.inference(graph);
  program.setParameters(sampleModel(net).tensors);
  return measure(job, () => meanOfFirstClass(classProbabilities(program.logits(input), net), job));
}

async function train() {
  const trainer = await backend.trainer(graph, spec);
  trainer.setParameters(initialise(graph, 1));
  const target = Uint8Array.from(input, (v) => (v > 0 ? 1 : 0));
  return measure(job, () => trainer.step({ input, target }, { learningRate: 1e-3 }).loss);
}
