import { createHash } from "node:crypto";
import type { TermTable } from "../dicom/seg/codes.ts";
import type { BackendOptions } from "../engine/backend.ts";
import { loadModel, modelFiles } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import type { OutputFormat } from "../predict/files.ts";
import { readBytes } from "../util/files.ts";
import { lunetVersion } from "../util/version.ts";

/** What every process of a batch is told: plain data that survives the way to another process or machine. */
export interface BatchOrder {
  /** Files of the models to average, and the digest of each ({@link loadBatchModels}). */
  models: readonly ModelFile[];
  /** Folder of the label maps; absolute. */
  out: string;
  engine: NonNullable<BackendOptions["name"]>;
  /** Compute threads of each process; by default they share the processors. */
  threads?: number;
  window: "auto" | "patch";
  step: number;
  /** As lunet best chose where they are left out. */
  shifts?: number;
  mirror?: boolean;
  postprocess: boolean;
  uncertainty: boolean;
  /** That of the scan where it is left out. */
  format?: OutputFormat | "seg";
  /** For DICOM SEG. */
  terms?: TermTable;
}

export interface ModelFile {
  file: string;
  /** SHA-256 of its bytes, shortened. */
  digest: string;
}

/** Loads the models that paths stand for (see modelFiles). UserError where there is none, or it is damaged. */
export async function loadBatchModels(paths: readonly string[]): Promise<{ models: Model[]; files: ModelFile[] }> {
  const places = (await Promise.all(paths.map(modelFiles))).flat();
  const models = await Promise.all(places.map(loadModel));
  const files = await Promise.all(places.map(async (file) => ({ file, digest: await digestOf(file) })));
  return { models, files };
}

/** Digest of a file's bytes. */
export async function digestOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readBytes(file))
    .digest("hex")
    .slice(0, 16);
}

/** What a label map depends on beside its scan. Threads are not among it: any number gives the same bits. */
export interface CaseSettings {
  /** Version of the program. */
  lunet: string;
  /** Digests of the models that were averaged. */
  models: string[];
  engine: string;
  window: string;
  step: number;
  shifts: number | null;
  mirror: boolean | null;
  postprocess: boolean;
  uncertainty: boolean;
  format: string | null;
  terms: TermTable | null;
}

/** `models`: indices of those that predict the case. */
export function settingsOf(order: BatchOrder, models: readonly number[]): CaseSettings {
  const { engine, window, step, shifts = null, mirror = null, postprocess, uncertainty, format = null } = order;
  return {
    lunet: lunetVersion(),
    models: models.map((index) => order.models[index].digest),
    ...{ engine, window, step, shifts, mirror, postprocess, uncertainty, format },
    terms: order.terms ?? null,
  };
}
