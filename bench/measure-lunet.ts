// Child process of run.ts: times our engine on one job and prints one JSON line.
import { benchSpec } from "../src/cli/bench-profile.ts";
import { createReferenceBackend } from "../src/engine/reference/backend.ts";
import { createWasmBackend } from "../src/engine/wasm/backend.ts";
import { sampleModel } from "../src/model/sample.ts";
import { buildGraph, initialise } from "../src/net/build.ts";
import { classProbabilities } from "../src/predict/probabilities.ts";
import { type Job, type Measurement, netOf, shapeOf } from "./cases.ts";
import { measure } from "./clock.ts";
import { meanOfFirstClass, sampleInput } from "./input.ts";

const job = JSON.parse(process.argv[2]) as Job;
const net = netOf(job);
const model = sampleModel(net);
const input = sampleInput(job);
const begin = performance.now();
const wasm = job.engine === "wasm" ? await createWasmBackend({ threads: job.threads }) : undefined;
const backend = wasm ?? createReferenceBackend();
const graph = buildGraph(net, { batch: job.batch, shape: shapeOf(job) });
const result = job.mode === "infer" ? await infer() : await train();
const probed = await wasm?.probe();
await backend.close();
const peak = probed && { peakGflops: job.threads * probed.peak, tiles: probed.chosen.name };
const line: Measurement = { ...result, ...peak, version: `node ${process.versions.node}` };
process.stdout.write(`${JSON.stringify(line)}\n`);

async function infer() {
  const program = await backend.inference(graph);
  program.setParameters(model.tensors);
  return measure(job, begin, () => meanOfFirstClass(classProbabilities(program.logits(input), net), job));
}

async function train() {
  const trainer = await backend.trainer(graph, benchSpec);
  trainer.setParameters(initialise(graph, 1));
  const target = Uint8Array.from(input, (v) => (v > 0 ? 1 : 0));
  return measure(job, begin, () => trainer.step({ input, target }, { learningRate: 1e-3 }).loss);
}
