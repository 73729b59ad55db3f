import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { readCase } from "../dataset/load.ts";
import type { TermTable } from "../dicom/seg/codes.ts";
import { readTerms, segmentationWriter } from "../dicom/seg/files.ts";
import { createBackend } from "../engine/backend.ts";
import { loadModels } from "../model/files.ts";
import {
  assertSafeFolder,
  type CaseChoice,
  findInputs,
  formatLike,
  type OutputFormat,
  outputFormats,
  type PredictInput,
  writePrediction,
} from "../predict/files.ts";
import { postprocessingWords } from "../predict/postprocess.ts";
import { createPredictor, type Predictor, type Segmentation } from "../predict/segment.ts";
import { createProgress, durationText, type Progress } from "../train/progress.ts";
import { fail, UserError } from "../util/errors.ts";
import { updateUncertainty } from "./uncertainty-file.ts";

interface PredictCommandOptions {
  model: string[];
  out: string;
  cases?: CaseChoice;
  format?: OutputFormat | "seg";
  segments?: string;
  threads?: number;
  engine: "wasm" | "reference";
  window: "auto" | "patch";
  step: number;
  shifts?: number;
  mirror?: boolean;
  uncertainty?: boolean;
  postprocess: boolean;
  json?: boolean;
}

interface Done {
  id: string;
  file: string;
  /** Voxels that post-processing took away. */
  removed: number;
  milliseconds: Segmentation["milliseconds"];
  uncertainty?: Segmentation["uncertainty"];
}

interface Failed {
  id: string;
  error: string;
}

/** Cases that are named as those with the least sure predictions. */
const shownUnsure = 5;

const whole =
  (least: number) =>
  (text: string): number => {
    if (!/^\d+$/.test(text) || Number(text) < least) {
      throw new InvalidArgumentError(`Expected a whole number of ${least} or more.`);
    }
    return Number(text);
  };

const share = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError("Expected a number above 0 and up to 1.");
  return value;
};

export const predictCommand = new Command("predict")
  .description(
    "Segment scans with a trained model, or with the average of several; results lie on each scan's own grid.",
  )
  .argument("<input...>", "scan files, folders of scans, or a data set folder together with --cases")
  .addOption(
    new Option(
      "--model <path>",
      "run folder or model file, or the folder of all folds to average them; repeat it to average more",
    )
      .makeOptionMandatory()
      .argParser((path: string, before: string[] | undefined) => [...(before ?? []), path]),
  )
  .option("--out <folder>", "where the label maps go, named by case", "predictions")
  .addOption(
    new Option(
      "--cases <part>",
      "cases of a data set: those that the model was validated on (val) or trained on (train), its test cases, or all",
    ).choices(["val", "test", "train", "all"]),
  )
  .addOption(
    new Option(
      "--format <ending>",
      "format of the label maps; seg: DICOM SEG, for DICOM series (default: that of the scan, nii.gz for DICOM)",
    ).choices([...outputFormats, "seg"]),
  )
  .option("--segments <file>", "JSON with codes and colours by label name, for --format seg")
  .addOption(new Option("--threads <n>", "compute threads (default: all processors)").argParser(whole(1)))
  .addOption(new Option("--engine <name>", "compute engine").choices(["wasm", "reference"]).default("wasm"))
  .addOption(
    new Option("--window <kind>", "auto: the whole scan at once where that is cheaper; patch: always the plan's patch")
      .choices(["auto", "patch"])
      .default("auto"),
  )
  .addOption(new Option("--step <share>", "distance of windows as a share of the window").default(0.5).argParser(share))
  .addOption(
    new Option(
      "--shifts <n>",
      "average over n one-voxel shifts, 0 to 7 (default: as lunet best chose, else 0)",
    ).argParser(whole(0)),
  )
  .option("--mirror", "average over mirror images along the axes that the plan allows (default: as lunet best chose)")
  .option("--no-mirror", "do not, whatever lunet best chose")
  .option("--no-postprocess", "leave out the post-processing that lunet best chose")
  .option(
    "--uncertainty",
    "also measure how sure the models are of each case and how far they agree; uncertainty.json in --out",
  )
  .option("--json", "print the result as JSON")
  .action(async (paths: string[], options: PredictCommandOptions) => {
    const models = (await Promise.all(options.model.map(loadModels))).flat();
    const inputs = await findInputs(paths, models, { cases: options.cases });
    assertSafeFolder(options.out, inputs);
    if (options.segments && options.format !== "seg")
      fail("--segments describes the segments of --format seg; give both.");
    const terms = options.segments ? await readTerms(options.segments, models[0].plan.labels.slice(1)) : undefined;
    await mkdir(options.out, { recursive: true });
    // Before the first label map changes: a run that is killed must not leave old measures beside new maps.
    await updateUncertainty(
      options.out,
      inputs.map(({ id }) => id),
      [],
    );
    const backend = await createBackend({ name: options.engine, threads: options.threads });
    const progress = createProgress(process.stderr);
    const start = performance.now();
    try {
      const { window, postprocess, mirror, shifts } = options;
      const testTime = mirror === undefined || shifts === undefined;
      const predictor = createPredictor(models, { backend, window, postprocess, testTime });
      tellChoices(predictor, options, progress);
      const { done, failed, faults } = await predictAll(predictor, inputs, { ...options, terms }, progress);
      progress.close();
      predictor.close();
      const seconds = (performance.now() - start) / 1000;
      const measured = done.flatMap(({ id, uncertainty }) => (uncertainty ? [{ id, ...uncertainty }] : []));
      await updateUncertainty(options.out, [], measured);
      const trained = inputs.filter((input) => input.trained).map(({ id }) => id);
      const { postprocessing = null } = predictor.choices;
      const result = {
        out: options.out,
        seconds,
        models: models.length,
        postprocessing,
        cases: done,
        failed,
        trainedOn: trained,
      };
      process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : describe(result, inputs.length));
      if (failed.length > 0) process.exitCode = 1;
      if (faults.length > 0) throw faults[0];
    } finally {
      progress.close();
      await backend.close();
    }
  });

/** Says what the model files asked for beside the net itself. */
function tellChoices({ models, choices }: Predictor, options: PredictCommandOptions, progress: Progress): void {
  const { postprocessing, testTime } = choices;
  const [{ plan }] = models;
  if (models.length > 1) progress.say(`averaging ${models.length} models`);
  const shifts = options.shifts === undefined && testTime && testTime.shifts > 0 ? [`${testTime.shifts} shifts`] : [];
  const mirror = options.mirror === undefined && testTime?.mirror ? ["mirror images"] : [];
  if (shifts.length + mirror.length > 0)
    progress.say(`as lunet best chose: averaging over ${[...mirror, ...shifts].join(" and ")}`);
  if (postprocessing) progress.say(`as lunet best chose: ${postprocessingWords(postprocessing, plan.labels)}`);
}

/** One case after the other; a case that fails is noted and the rest go on. `faults` are errors that are not the user's. */
async function predictAll(
  predictor: Predictor,
  inputs: readonly PredictInput[],
  options: PredictCommandOptions & { terms?: TermTable },
  progress: Progress,
): Promise<{ done: Done[]; failed: Failed[]; faults: unknown[] }> {
  const done: Done[] = [];
  const failed: Failed[] = [];
  const faults: unknown[] = [];
  const { plan } = predictor.models[0];
  const channels = plan.channels.map(({ name }) => name);
  for (const [index, input] of inputs.entries()) {
    const { id } = input;
    const head = `${index + 1}/${inputs.length} ${id}`;
    progress.live(`${head}  reading`);
    try {
      const segmentation = options.format === "seg" ? await segmentationWriter(input.images[0]) : undefined;
      const { images } = await readCase({ id, images: input.images }, channels);
      progress.live(`${head}  preparing`);
      // The first window waits for the net to be compiled, so the pace is that of the ones after it.
      let first: number | undefined;
      const { labels, removed, milliseconds, uncertainty } = await predictor.segment(images, {
        id,
        models: input.models,
        step: options.step,
        shifts: options.shifts,
        mirror: options.mirror,
        uncertainty: options.uncertainty,
        onProgress: (part, of) => {
          first ??= performance.now();
          progress.live(`${head}  ${windowsText(part, of, (performance.now() - first) / 1000)}`);
        },
      });
      progress.live(`${head}  writing`);
      let file = join(options.out, `${id}.dcm`);
      if (segmentation) {
        await segmentation.write(file, labels, plan.labels, {
          algorithm: `lunet ${plan.dataset}`,
          terms: options.terms,
        });
      } else {
        const format = (options.format as OutputFormat | undefined) ?? (await formatLike(input.images[0]));
        file = await writePrediction(options.out, id, labels, format);
      }
      done.push({ id, file, removed, milliseconds, ...(uncertainty ? { uncertainty } : {}) });
      if (!options.json) progress.say(`${head}  ${milliseconds.total.toFixed(0)} ms`);
    } catch (error) {
      // What a user cannot mend is a fault of the program: the caller reports it with its stack when the rest is done.
      if (!(error instanceof UserError)) faults.push(error);
      const message = error instanceof Error ? error.message : String(error);
      failed.push({ id, error: message });
      progress.say(`${head}  failed: ${message}`);
    }
  }
  return { done, failed, faults };
}

/** "37 %  1 min 12 s left" when `done` windows are predicted, `seconds` after the first one. */
export function windowsText(done: number, total: number, seconds: number): string {
  const percent = `${Math.floor((100 * done) / total)} %`;
  if (done < 2) return percent;
  return `${percent}  ${durationText((seconds / (done - 1)) * (total - done))} left`;
}

function describe(
  result: { out: string; seconds: number; cases: Done[]; failed: Failed[]; trainedOn: string[] },
  total: number,
): string {
  const { out, seconds, cases, failed, trainedOn } = result;
  const lines = [`${cases.length} of ${total} cases written to ${out} in ${seconds.toFixed(1)} s.`];
  if (failed.length > 0) lines.push(`${failed.length} failed: ${failed.map(({ id }) => id).join(", ")}.`);
  const leastSure = cases
    .flatMap(({ id, uncertainty }) =>
      uncertainty?.foregroundEntropy ? [{ id, entropy: uncertainty.foregroundEntropy }] : [],
    )
    .sort((a, b) => b.entropy - a.entropy)
    .slice(0, shownUnsure)
    .map(({ id, entropy }) => `${id} (${entropy.toFixed(3)})`);
  if (leastSure.length > 0) {
    lines.push(`Least sure of (mean entropy of the predicted foreground, nats): ${leastSure.join(", ")}.`);
  }
  if (trainedOn.length > 0) {
    lines.push(`${trainedOn.length} of these cases were used to train a model: do not report their scores as results.`);
  }
  return `${lines.join("\n")}\n`;
}
