import { parentPort, workerData } from "node:worker_threads";
import { makeBatch } from "../dataset/loader.ts";
import type { LoaderData } from "./direct-loader.ts";

// Makes the batch of every step it is asked for; the reply's buffers move to the other thread without a copy.
const { cases, plan, options } = workerData as LoaderData;
parentPort?.on("message", (step: number) => {
  const batch = makeBatch(cases, plan, { ...options, step });
  const buffers = Object.values(batch).map(({ buffer }) => buffer as ArrayBuffer);
  parentPort?.postMessage({ step, batch }, buffers);
});
