import { resolve } from "node:path";
import { createBackend } from "../engine/backend.ts";
import { loadModel } from "../model/files.ts";
import type { Model } from "../model/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { parseBudget } from "../train/budget.ts";
import type { Loader } from "../train/direct-loader.ts";
import { createWorkerLoader } from "../train/loader.ts";
import { prepareCases } from "../train/prepare.ts";
import { silentProgress } from "../train/progress.ts";
import { checkSameSettings } from "../train/run-folder.ts";
import { checkRunMemory } from "../train/run-memory.ts";
import { dataRecord, type RunSetup, setUpAgain, setUpRun, statedOptions } from "../train/setup.ts";
import { are, counted } from "../util/counted.ts";
import { fail } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { readLines } from "../util/json-lines.ts";
import { startTime } from "../util/time.ts";
import { lunetVersion } from "../util/version.ts";
import { type PruneState, readPruneCheckpoint, writePruneCheckpoint } from "./checkpoint.ts";
import { clearPruneFolder, openPruneFolder, prunePaths, writePruneFile } from "./folder.ts";
import { channelsOf, limitsText, resolveLimits } from "./limits.ts";
import { planMinutes } from "./plan-minutes.ts";
import { freshState, runPruning } from "./session.ts";
import { resolvePruning, stepsOf } from "./settings.ts";
import type { CurveRecord, PruneFile, PruneOptions, PruneResult } from "./types.ts";

/** The doubling net of the paper's pruning curve. */
export const defaultNet = "unet:4";

/**
 * Trains a net, or takes a trained one, and prunes it step by step into a folder: prune.json, plan.json, curve.jsonl and
 * curve.svg, a model per size in sizes/, model.safetensors (the size chosen on validation), checkpoint.safetensors. STAMP
 * (Dinsdale et al. 2022) with exact channel removal. The same seed, data and settings give the same files, with any number of
 * threads, resumed or not. Throws UserError for bad input, a folder that holds a run, too little memory.
 */
export async function pruneNet(options: PruneOptions): Promise<PruneResult> {
  const began = performance.now();
  const { progress = silentProgress } = options;
  const paths = prunePaths(resolve(options.out));
  const seconds = (): number => (performance.now() - began) / 1000;
  const limit = options.minutes === undefined ? Number.POSITIVE_INFINITY : minutesOf(options.minutes) * 60;
  const previous = await openPruneFolder(paths, options);
  const model = options.from !== undefined && !previous ? await loadModel(options.from) : null;
  const setup = previous
    ? await setUpAgain(options, previous, paths.plan)
    : await setUpRun(model ? startingFrom(model, options) : { ...options, net: options.net ?? defaultNet }, progress);
  if (previous) compareSettings(options, previous, setup);
  if (previous?.state === "finished") {
    progress.say(`The run in ${options.out} is finished already (${counted(previous.result?.sizes ?? 0, "size")}).`);
    return {
      run: previous,
      folder: paths.folder,
      curve: await readLines<CurveRecord>(paths.curve),
      seconds: seconds(),
    };
  }
  if (model && !options.cases) checkCases(model, setup, options);
  let run: PruneFile = previous ? { ...previous, state: "running", result: null } : recordOf(options, setup, model);
  const { lowMemory = false, threads } = options;
  await checkRunMemory(
    { ...setup, settings: run.settings },
    { lowMemory, threads, ranks: run.pruning.rankBatches > 0 },
  );
  if (!previous) {
    await clearPruneFolder(paths);
    await writeFileAtomic(paths.plan, `${JSON.stringify(setup.plan, null, 2)}\n`);
  }
  progress.say(describe(run));
  const { training, validation } = await prepareCases(setup, progress);
  const open: { close(): unknown }[] = [];
  try {
    const backend = await createBackend({ name: run.engine, threads });
    open.push(backend);
    const startLoader = ({ seed, batch, window, augment, shift, foreground }: PruneFile["settings"]): Loader => {
      const batching = { seed, batch, augment, shift, foreground, patch: window };
      const loading = { cases: training, plan: setup.plan, options: batching };
      const loader = createWorkerLoader(loading);
      open.push(loader);
      return loader;
    };
    let batches = startLoader(run.settings);
    if (!previous && options.minutes !== undefined) {
      const { augment } = run.settings;
      progress.live("measuring the time of a step");
      const parts = { plan: setup.plan, backend, lowMemory, batches, validation, secondsLeft: () => limit - seconds() };
      run = await planMinutes(options, setup, run, parts);
      // The number of steps may have chosen another augmentation than the one that was measured.
      if (run.settings.augment !== augment) {
        await batches.close();
        batches = startLoader(run.settings);
      }
    }
    progress.say(lengthsText(run));
    let start: PruneState;
    if (previous) {
      start = await readPruneCheckpoint(paths.checkpoint);
      // A plan may have been noted whose size never came.
      if (run.replans) run.replans = run.replans.filter(({ size }) => size <= start.removals);
      progress.say(`resuming at size ${start.removals}, after step ${start.step}`);
    } else {
      // Before prune.json, so that a run that can be resumed has what to resume from.
      const graph = buildGraph(run.net, { batch: run.settings.batch, shape: run.settings.window });
      start = freshState(run, model?.tensors ?? initialise(graph, run.settings.seed));
      await writePruneCheckpoint(paths.checkpoint, start, graph.params);
    }
    await writePruneFile(paths.run, run);
    options.onBegin?.();
    const { calibration } = run;
    const pace = calibration && { step: calibration.stepSeconds, check: calibration.checkSeconds };
    const clock = pace && !previous && !options.recovery ? { deadline: began + 1000 * limit, pace } : undefined;
    const signal = signalOf(options.signal, limit - seconds());
    const session = { run, paths, plan: setup.plan, backend, lowMemory, batches, validation, progress, signal, clock };
    const ended = await runPruning(session, start);
    return { ...ended, folder: paths.folder, seconds: seconds() };
  } finally {
    progress.close();
    for (const thing of open.reverse()) await thing.close();
  }
}

function minutesOf(minutes: number): number {
  return (parseBudget({ minutes }) as { minutes: number }).minutes;
}

/** Longest wait of a timer in ms. */
const longest = 2 ** 31 - 1;

/** The caller's signal, and one when the time is up. */
function signalOf(signal: AbortSignal | undefined, seconds: number): AbortSignal | undefined {
  if (seconds === Number.POSITIVE_INFINITY) return signal;
  const timer = AbortSignal.timeout(Math.min(longest, Math.max(0, Math.round(1000 * seconds))));
  return signal ? AbortSignal.any([signal, timer]) : timer;
}

/** The options with the net, the plan, the recipe and, where no fold was asked for, the cases of a trained model. */
function startingFrom({ net, plan, provenance }: Model, options: PruneOptions): PruneOptions {
  for (const key of ["net", "levels", "convs", "order", "norm", "slope", "plan"] as const) {
    if (options[key] === undefined) continue;
    fail(`Expected no --${key} with --from: the trained model brings its own; leave one of them out.`);
  }
  const { preset, fold, trainingCases, validationCases } = provenance;
  const own = options.fold === undefined && !options.cases;
  return {
    ...options,
    spec: net,
    net: options.from,
    plan,
    preset: options.preset ?? (preset === "paper" ? "paper" : "strong"),
    ...(own ? { fold, cases: { training: trainingCases, validation: validationCases } } : {}),
  };
}

/** Cases of the model must be there; cases it has trained on must not judge it. */
function checkCases(
  { provenance }: Model,
  { dataset, validationCases, skipped = [] }: RunSetup,
  options: PruneOptions,
): void {
  const seen = new Set(provenance.trainingCases);
  if (options.fold === undefined) {
    // Cases that --skip-bad left out are there.
    const here = new Set([...dataset.training.map(({ id }) => id), ...skipped.map((bad) => bad.case)]);
    const gone = [...provenance.trainingCases, ...provenance.validationCases].filter((id) => !here.has(id));
    if (gone.length === 0) return;
    fail(
      `Expected the cases of ${options.from} in the data set, but ${gone.length} of them (${gone.slice(0, 3).join(", ")}) ` +
        `${are(gone.length)} not there; say with --fold which cases of this set train and which validate.`,
    );
  }
  const known = validationCases.filter((id) => seen.has(id));
  if (known.length > 0) {
    fail(
      `Expected --fold to be that of ${options.from}, but the model was trained on ${known.length} of the fold's ` +
        `validation cases (${known.slice(0, 3).join(", ")}), so they could not judge it; leave out --fold.`,
    );
  }
}

function recordOf(options: PruneOptions, setup: RunSetup, model: Model | null): PruneFile {
  const { pruning, settings } = resolvePruning(options, setup);
  return {
    version: 1,
    lunet: lunetVersion(),
    started: startTime(),
    data: dataRecord(options, setup.dataset),
    netName: setup.netName,
    ...(model ? { from: { path: resolve(options.from!), steps: model.provenance.steps } } : {}),
    net: setup.net,
    parameters: setup.parameters,
    fold: setup.fold,
    ...(options.folds === undefined ? {} : { folds: options.folds }),
    ...(options.groups === undefined ? {} : { groups: options.groups }),
    mirrorAxes: setup.plan.mirrorAxes,
    engine: options.engine ?? "wasm",
    settings,
    pruning,
    trainingCases: setup.trainingCases,
    validationCases: setup.validationCases,
    ...(setup.skipped ? { skipped: setup.skipped } : {}),
    ...(model?.provenance.teacherCases ? { teacherCases: model.provenance.teacherCases } : {}),
    state: "running",
    result: null,
  };
}

/** Refuses a resumed run that is asked for with other settings than it was started with. */
function compareSettings(options: PruneOptions, run: PruneFile, { plan }: RunSetup): void {
  const { pruning } = run;
  const { criterion, pick, largestBy, remove, patience, rankBatches, targeted } = options;
  const { recoveryRate, checkEvery, checkCases, within, warm, recovery, until, from } = options;
  const stated = {
    ...statedOptions(options, run.settings, plan),
    ...{ criterion, pick, largestBy, remove, patience, targeted, recoveryRate, checkEvery, within },
    // A run that ranks by no batch, or on fewer cases than asked for, keeps what it made of these.
    rankBatches: pruning.rankBatches > 0 ? rankBatches : undefined,
    checkCases: checkCases && Math.min(checkCases, run.validationCases.length),
    warmSteps: warm && stepsOf(warm, pruning.epochSteps),
    recoverySteps: recovery && stepsOf(recovery, pruning.epochSteps),
    until: until && limitsText(resolveLimits(until, run.net, pruning)),
    from: from === undefined ? undefined : resolve(from),
  };
  const before = { ...pruning, until: limitsText(pruning.until), from: run.from?.path };
  checkSameSettings(stated, { ...run, epochSteps: pruning.epochSteps }, before);
}

function describe({ netName, net, parameters, data, settings, ...run }: PruneFile): string {
  const checked =
    run.fold === null
      ? "no validation"
      : `${counted(run.validationCases.length, "validates", "validate")} (fold ${run.fold})`;
  return (
    `${netName} (${parameters.toLocaleString("en-US")} parameters, ${channelsOf(net)} channels) on ${data.name}: ` +
    `${counted(run.trainingCases.length, "case trains", "cases train")}, ${checked}; windows of ${settings.window.join("x")}, batch ${settings.batch}`
  );
}

function lengthsText({ pruning, calibration }: PruneFile): string {
  const { criterion, pick, remove, warmSteps, recoverySteps } = pruning;
  const ranked = pick === "random-at-largest" ? pick : `${pick} by ${criterion}`;
  return (
    `${counted(warmSteps, "step")}, then ${counted(remove, "channel")} at a time (${ranked}), ${counted(recoverySteps, "step")} after each` +
    (calibration ? ` (${(1000 * calibration.stepSeconds).toFixed(0)} ms a step of the whole net)` : "")
  );
}
