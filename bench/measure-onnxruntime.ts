// Child process of run.ts: times onnxruntime-node on the same net, weights and input and prints one JSON line.
import { InferenceSession, Tensor } from "onnxruntime-node";
import ortPackage from "onnxruntime-node/package.json" with { type: "json" };
import { toOnnx } from "../src/model/onnx.ts";
import { sampleModel } from "../src/model/sample.ts";
import { type Job, type Measurement, netOf, netOptions, shapeOf } from "./cases.ts";
import { measure } from "./clock.ts";
import { meanOfFirstClass, sampleInput } from "./input.ts";

const job = JSON.parse(process.argv[2]) as Job;
const shape = shapeOf(job);
// The graph of a 2D net has 2D operators.
const bytes = toOnnx(sampleModel(netOf(job)), { shape, batch: job.batch, probabilities: true });
const input = sampleInput(job);
const begin = performance.now();
const session = await InferenceSession.create(bytes, {
  executionProviders: ["cpu"],
  graphOptimizationLevel: "all",
  executionMode: "sequential",
  intraOpNumThreads: job.threads,
  interOpNumThreads: 1,
});
const sizes = job.dimensions === 2 ? shape.slice(1) : shape;
const image = new Tensor("float32", input, [job.batch, netOptions.inputChannels, ...sizes]);
const result = await measure(job, begin, async () => {
  const { probabilities } = await session.run({ image });
  return meanOfFirstClass(probabilities.data as Float32Array, job);
});
const line: Measurement = { ...result, version: `onnxruntime ${ortPackage.version}` };
process.stdout.write(`${JSON.stringify(line)}\n`);
