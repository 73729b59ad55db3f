import { readModel } from "../../src/model/file.ts";
import type { Model } from "../../src/model/types.ts";
import { createPredictor, type Segmentation } from "../../src/predict/segment.ts";
import type { Volume } from "../../src/volume/volume.ts";
import { type Engine, type EngineChoice, reasonOf, startEngine } from "../shared/engine.ts";

export interface SegmentJob {
  /** A scan's channels. */
  volumes: Volume[];
  name: string;
  /** Model files; several are an ensemble. */
  models: { name: string; bytes: Uint8Array }[];
  engine: EngineChoice;
}

export interface SegmentResult {
  labels: Volume<Uint8Array>;
  engine: "webgpu" | "wasm";
  threads: number;
  adapter: string;
  milliseconds: number;
  /** Most that the net's programs took. */
  bytes: number;
}

export type FromSegmenter =
  | { type: "progress"; done: number; total: number }
  /** Something about the engine that the user should know. */
  | { type: "word"; sentence: string }
  | { type: "done"; result: SegmentResult }
  | { type: "failed"; name: string; message: string };

const send = (message: FromSegmenter): void => postMessage(message);
const say = (sentence: string): void => send({ type: "word", sentence });

async function segmentOn(
  engine: Engine,
  models: readonly Model[],
  { volumes, name }: SegmentJob,
): Promise<Segmentation> {
  const predictor = createPredictor(models, { backend: engine.backend });
  const onProgress = (done: number, total: number): void => send({ type: "progress", done, total });
  return predictor.segment(volumes, { id: name, onProgress });
}

async function run(job: SegmentJob): Promise<SegmentResult> {
  const start = performance.now();
  const models = job.models.map(({ name, bytes }) => readModel(bytes, name));
  let engine = await startEngine(job.engine, say);
  let segmentation: Segmentation;
  try {
    segmentation = await segmentOn(engine, models, job);
  } catch (error) {
    if (engine.name === "wasm") throw error;
    // A GPU may be lost at any time. What is wrong with the scan or the model, wasm will say again.
    const word = `WebGPU stopped (${reasonOf(error)}); the scan was segmented on wasm instead.`;
    engine = await startEngine("wasm", say);
    segmentation = await segmentOn(engine, models, job);
    say(word);
  }
  const milliseconds = performance.now() - start;
  const { name, threads, adapter } = engine;
  return { labels: segmentation.labels, engine: name, threads, adapter, milliseconds, bytes: engine.peakBytes() };
}

addEventListener("message", async ({ data }: MessageEvent<SegmentJob>) => {
  try {
    const result = await run(data);
    postMessage({ type: "done", result } satisfies FromSegmenter, { transfer: [result.labels.data.buffer] });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    send({ type: "failed", name, message });
  }
});
