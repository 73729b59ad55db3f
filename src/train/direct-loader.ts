import { type BatchOptions, makeBatch } from "../dataset/loader.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { BatchSource } from "./loop.ts";

export interface LoaderData {
  cases: PreparedCase[];
  plan: Plan;
  options: Omit<BatchOptions, "step">;
}

export interface Loader extends BatchSource {
  close(): Promise<void>;
}

/** Batches made on the spot, in this thread. */
export function createDirectLoader(data: LoaderData): Loader {
  return {
    next: async (step) => makeBatch(data.cases, data.plan, { ...data.options, step }),
    close: async () => {},
  };
}
