import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { netOutput } from "../dataset/regions.ts";
import { packSoft } from "../dataset/soft.ts";
import type { Plan, PreparedCase } from "../dataset/types.ts";
import type { Backend } from "../engine/types.ts";
import { readModel } from "../model/file.ts";
import { modelFileName } from "../model/files.ts";
import { knownCases } from "../model/known-cases.ts";
import type { Model } from "../model/types.ts";
import { createPredictor } from "../predict/segment.ts";
import { fail } from "../util/errors.ts";
import { explainFileError, readBytes } from "../util/files.ts";
import type { Progress } from "./progress.ts";
import type { RunSetup } from "./setup.ts";

/** A model that a run learns from, in run.json. */
export interface TeacherRecord {
  path: string;
  /** Of the file, so that a resumed run learns from the same one. */
  sha256: string;
}

export interface Teachers {
  models: Model[];
  records: TeacherRecord[];
}

/**
 * The models that a run learns from: files or run folders. Throws UserError for one that cannot be read, does not prepare scans as the
 * run does, or differs from what the run was started with (`before`).
 */
export async function readTeachers(
  paths: readonly string[],
  { plan, net }: Pick<RunSetup, "plan" | "net">,
  before?: readonly TeacherRecord[],
): Promise<Teachers> {
  const { output } = netOutput(plan);
  if (net.output !== output) {
    fail(
      `Expected a net with ${output} outputs to learn from --distil, but --net has ${net.output}; choose another net.`,
    );
  }
  const teachers: Teachers = { models: [], records: [] };
  for (const path of paths) {
    const info = await stat(path).catch((error) => {
      throw explainFileError(error, path) ?? error;
    });
    const bytes = await readBytes(info.isDirectory() ? join(path, modelFileName) : path);
    const model = readModel(bytes, path);
    checkPlans(path, model.plan, plan);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (before?.some((record) => record.path === path && record.sha256 !== sha256)) {
      fail(`${path} is not the model that the run began to learn from; put that one back, or start a new run.`);
    }
    teachers.models.push(model);
    teachers.records.push({ path, sha256 });
  }
  return teachers;
}

/** A teacher's probabilities must belong to the voxels and outputs of the run. */
function checkPlans(path: string, teacher: Plan, plan: Plan): void {
  const parts: [string, (of: Plan) => unknown][] = [
    ["channels", ({ channels }) => channels],
    ["spacing", ({ spacing }) => spacing],
    ["labels", ({ labels }) => labels.map(({ value }) => value)],
    ["regions", ({ regions }) => regions?.map(({ values }) => values) ?? []],
  ];
  for (const [what, of] of parts) {
    const [there, here] = [of(teacher), of(plan)].map((value) => JSON.stringify(value));
    if (there === here) continue;
    fail(
      `Expected the model ${path} of --distil to prepare scans as this run does, but it differs in ${what}: ${there}, here ` +
        `${here}; train with the plan.json of its run (--plan).`,
    );
  }
}

/** Cases that the teachers know beside those that the run trains on; undefined where there are none. */
export function casesOfTeachers({ models }: Teachers, trainingCases: readonly string[]): string[] | undefined {
  const own = new Set(trainingCases);
  const known = new Set(models.flatMap(({ provenance }) => [...knownCases(provenance)]));
  const more = [...known].filter((id) => !own.has(id)).sort();
  return more.length > 0 ? more : undefined;
}

export interface SoftenOptions {
  backend: Backend;
  plan: Plan;
  temperature: number;
  /** Limit on the engine's memory for a teacher, in bytes. */
  maxBytes: number;
  progress: Progress;
}

/** The cases with the teachers' mean probabilities beside them, softened by the temperature. Changes the list case by case. */
export async function addSoftTargets(
  cases: PreparedCase[],
  { models }: Teachers,
  { backend, plan, temperature, maxBytes, progress }: SoftenOptions,
): Promise<void> {
  const predictor = createPredictor(models, { backend, maxBytes, keepBytes: maxBytes });
  try {
    for (let i = 0; i < cases.length; i++) {
      progress.live(`asking ${models.length === 1 ? "the teacher" : `${models.length} teachers`} ${i}/${cases.length}`);
      const probabilities = await predictor.probabilities(cases[i]);
      cases[i] = { ...cases[i], soft: packSoft(probabilities, plan, temperature) };
    }
  } finally {
    predictor.close();
  }
}
