import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { readCase } from "../dataset/load.ts";
import { segmentationWriter } from "../dicom/seg/files.ts";
import { createBackend } from "../engine/backend.ts";
import { loadModel } from "../model/files.ts";
import { formatLike, type PredictInput, writePrediction } from "../predict/files.ts";
import { createPredictor, type Predictor } from "../predict/segment.ts";
import { durationText } from "../train/progress.ts";
import { fail, UserError } from "../util/errors.ts";
import { type BatchOrder, digestOf } from "./order.ts";
import type { DoneRecord, FailedRecord } from "./record.ts";
import { stateOfScan } from "./scan-state.ts";

/** What became of a case. */
export type Outcome =
  | Omit<DoneRecord, "id" | "time" | "settings">
  /** `stack`: of what a user cannot mend, a fault of the program. */
  | (Omit<FailedRecord, "id" | "time"> & { stack?: string })
  /** It was asked to stop, and nothing was written. */
  | { state: "stopped" };

/** Predicts one case after the other, in this process or another. */
export interface Worker {
  /** `live` is told how it goes. */
  predict(input: PredictInput, live: (text: string) => void): Promise<Outcome>;
  close(): Promise<void>;
}

/** Bytes of programs that are kept for scans of a size that was met before; a thousand sizes must not pile up. */
export const keepBytes = 2 ** 28;

/**
 * Makes ready to predict cases in this process: the models, the engine's threads, compiled programs and their buffers stay from case
 * to case. UserError where a model is not the one that was ordered.
 */
export async function startWorker(order: BatchOrder, signal?: AbortSignal): Promise<Worker> {
  const models = await Promise.all(order.models.map(({ file }) => loadModel(file)));
  for (const { file, digest } of order.models) {
    if ((await digestOf(file)) !== digest) {
      fail(
        `The model in ${file} has changed since the call began; run the same command again to predict with the new one.`,
      );
    }
  }
  const { engine, threads, window, postprocess, mirror, shifts } = order;
  const backend = await createBackend({ name: engine, threads });
  try {
    const testTime = mirror === undefined || shifts === undefined;
    const predictor = createPredictor(models, { backend, window, postprocess, testTime, keepBytes });
    return {
      predict: (input, live) => predictCase(predictor, input, order, { live, signal }),
      async close() {
        predictor.close();
        await backend.close();
      },
    };
  } catch (error) {
    await backend.close();
    throw error;
  }
}

interface Watch {
  live: (text: string) => void;
  signal?: AbortSignal;
}

async function predictCase(
  predictor: Predictor,
  input: PredictInput,
  order: BatchOrder,
  { live, signal }: Watch,
): Promise<Outcome> {
  const { id, images: paths, models } = input;
  const { plan } = predictor.models[0];
  const { out, step, shifts, mirror, uncertainty, terms } = order;
  try {
    live("reading");
    // Before the voxels: a scan that is changed meanwhile is then one that has changed.
    const scans = await Promise.all(paths.map((path) => stateOfScan(path, out)));
    const segmentation = order.format === "seg" ? await segmentationWriter(paths[0]) : undefined;
    const channels = plan.channels.map(({ name }) => name);
    const { images } = await readCase({ id, images: paths }, channels);
    live("preparing");
    // The first window waits for the net to be compiled, so the pace is that of the ones after it.
    let first: number | undefined;
    const segmented = await predictor.segment(images, {
      ...{ id, models, step, shifts, mirror, uncertainty, signal },
      onProgress: (part, of) => {
        first ??= performance.now();
        live(windowsText(part, of, (performance.now() - first) / 1000));
      },
    });
    live("writing");
    const { labels, removed, milliseconds } = segmented;
    let file = join(out, `${id}.dcm`);
    if (segmentation)
      await segmentation.write(file, labels, plan.labels, { algorithm: `lunet ${plan.dataset}`, terms });
    else {
      const format = (order.format as Exclude<BatchOrder["format"], "seg">) ?? (await formatLike(paths[0]));
      file = await writePrediction(out, id, labels, format);
    }
    const measured = segmented.uncertainty ? { uncertainty: segmented.uncertainty } : {};
    return { state: "done", scans, ...(await outputOf(file)), removed, milliseconds, ...measured };
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return { state: "stopped" };
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UserError) return { state: "failed", error: message };
    return { state: "failed", error: message, stack: (error as Error).stack ?? message };
  }
}

async function outputOf(path: string): Promise<{ file: string; bytes: number }> {
  const info = await stat(path);
  return { file: basename(path), bytes: info.isDirectory() ? 0 : info.size };
}

/** "37 %  1 min 12 s left" when `done` windows are predicted, `seconds` after the first one. */
export function windowsText(done: number, total: number, seconds: number): string {
  const percent = `${Math.floor((100 * done) / total)} %`;
  if (done < 2) return percent;
  return `${percent}  ${durationText((seconds / (done - 1)) * (total - done))} left`;
}
