import { planDataset } from "../../src/dataset/plan.ts";
import { modelToBytes } from "../../src/model/file.ts";
import { parseNet } from "../../src/net/make.ts";
import type { EpochRecord } from "../../src/train/log.ts";
import type { LiveState, Progress } from "../../src/train/progress.ts";
import { resolveSetup } from "../../src/train/resolve-setup.ts";
import type { RunFile } from "../../src/train/run-folder.ts";
import { type TrainScansResult, trainScans } from "../../src/train/train-scans.ts";
import { fail } from "../../src/util/errors.ts";
import { processors } from "../../src/util/processors.ts";
import type { Vec3 } from "../../src/volume/volume.ts";
import { type Engine, reasonOf, startEngine } from "../shared/engine.ts";
import { type Choices, optionsOf } from "../train/choices.ts";
import { type PageNeed, pageNeed } from "../train/memory.ts";
import { createPreview, type Finding, type Preview } from "../train/preview.ts";
import { type CaseSource, type CasesInfo, type OpenedCases, openCases } from "../train/read-cases.ts";

export type ToTrainer =
  | { type: "open"; source: CaseSource }
  /** What the choices come to; answered by "planned". */
  | { type: "plan"; choices: Choices }
  | { type: "train"; choices: Choices }
  /** Ends the run after its step; its best model is kept. */
  | { type: "stop" }
  /** Chooses the case that is shown. */
  | { type: "show"; id: string };

/** What a run would be. */
export interface Planned {
  parameters: number;
  levels: number;
  window: Vec3;
  batch: number;
  spacing: Vec3;
  training: number;
  validation: number;
  need: PageNeed;
}

/** Where a run stands, twice a second. */
export interface Standing extends LiveState {
  /** Of the last steps. */
  millisecondsAStep: number;
  /** Most that the engine's programs took together. */
  engineBytes: number;
}

export type FromTrainer =
  | { type: "reading"; done: number; total: number }
  | { type: "opened"; info: CasesInfo }
  | { type: "planned"; planned: Planned }
  | { type: "refused"; sentence: string }
  /** Something that the user should know. */
  | { type: "word"; sentence: string }
  /** What is done before the first step. */
  | { type: "phase"; text: string }
  | { type: "started"; run: RunFile; engine: Engine["name"]; threads: number; validation: string[] }
  | { type: "step"; standing: Standing }
  | { type: "record"; record: EpochRecord }
  | { type: "finding"; finding: Finding }
  | { type: "done"; run: RunFile; steps: number; dice: number[] | null; model: Uint8Array }
  /** The run was stopped before there were weights. */
  | { type: "nothing" }
  | { type: "failed"; name: string; message: string };

const send = (message: FromTrainer, transfer: Transferable[] = []): void => postMessage(message, { transfer });
const say = (sentence: string): void => send({ type: "word", sentence });

let opened: OpenedCases | null = null;
/** Of the last run; its weights can be looked at until the next one begins. */
let preview: Preview | null = null;
let engine: Engine | null = null;
let stop = new AbortController();

const cases = (): OpenedCases => opened ?? fail("There are no cases to train on; drop some first.");

/** Steps over which the time of one is taken. */
const paceSteps = 20;
/** Milliseconds between two messages on steps: what the page then draws takes time from the steps where there is no graphics card. */
const messagePause = 500;

/** Tells the page of phases and steps, not of each of a hundred steps a second. */
function reporter(engine: Engine): Progress {
  let told = 0;
  let last = performance.now();
  const times: number[] = [];
  const due = (): boolean => performance.now() - told > messagePause;
  return {
    say: () => {},
    close: () => {},
    live(text) {
      // Steps are told by their numbers.
      if (text.startsWith("epoch") || !due()) return;
      told = performance.now();
      send({ type: "phase", text });
    },
    step(state) {
      const now = performance.now();
      times.push(now - last);
      last = now;
      if (times.length > paceSteps) times.shift();
      if (!due() && state.step < state.steps) return;
      told = now;
      const sorted = [...times].sort((a, b) => a - b);
      const millisecondsAStep = sorted[sorted.length >> 1];
      send({ type: "step", standing: { ...state, millisecondsAStep, engineBytes: engine.peakBytes() } });
    },
  };
}

async function plan(choices: Choices): Promise<Planned> {
  const { dataset, fingerprint, scans } = cases();
  const setup = await resolveSetup(optionsOf(choices, dataset), {
    dataset,
    plan: planDataset(fingerprint, dataset),
    fingerprint: async () => fingerprint,
    readNet: async (name, made) => parseNet(name, made),
    countLabels: async () => dataset.labels.map(() => 1),
  });
  const { settings, parameters, trainingCases, validationCases } = setup;
  return {
    parameters,
    levels: setup.plan.pools.length + 1,
    window: settings.window,
    batch: settings.batch,
    spacing: setup.plan.spacing,
    training: trainingCases.length,
    validation: validationCases.length,
    need: pageNeed(setup, scans, processors()),
  };
}

async function trainOn(own: Engine, choices: Choices): Promise<TrainScansResult> {
  const { dataset, fingerprint, scans } = cases();
  let started = false;
  let validation: string[] = [];
  return trainScans({
    ...optionsOf(choices, dataset),
    ...{ dataset, scans, backend: own.backend, signal: stop.signal },
    plan: planDataset(fingerprint, dataset),
    progress: reporter(own),
    onPrepared: ({ plan: made }, prepared) => {
      validation = prepared.validation.map(({ id }) => id);
      const show = (finding: Finding): void => send({ type: "finding", finding });
      preview = createPreview({ plan: made, cases: prepared.validation }, own.backend, show);
    },
    onRun: (run) => {
      if (started) return;
      started = true;
      send({ type: "started", run, engine: own.name, threads: own.threads, validation });
      if (validation.length > 0) void preview?.choose(validation[0]);
    },
    onRecord: (record) => send({ type: "record", record }),
    onModel: async (which, model) => {
      if (which === "best") await preview?.better(model);
    },
  });
}

/** Ends what is left of the run before. */
async function close(): Promise<void> {
  preview?.close();
  preview = null;
  await engine?.backend.close();
  engine = null;
}

async function train(choices: Choices): Promise<void> {
  stop = new AbortController();
  await close();
  send({ type: "phase", text: "starting the engine" });
  engine = await startEngine(choices.engine, say);
  let result: TrainScansResult;
  try {
    result = await trainOn(engine, choices).catch(async (error: unknown) => {
      if (engine?.name === "wasm" || stop.signal.aborted) throw error;
      // A GPU may be lost at any time. What is wrong with the choices, wasm will say again.
      say(`WebGPU stopped (${reasonOf(error)}); training began again on wasm.`);
      await close().catch(() => {});
      engine = await startEngine("wasm", say);
      return trainOn(engine, choices);
    });
  } catch (error) {
    if (stop.signal.aborted) return send({ type: "nothing" });
    throw error;
  }
  const { run, model } = result;
  await preview?.better(model);
  const bytes = modelToBytes(model);
  const { steps, validationDice: dice } = model.provenance;
  send({ type: "done", run, steps, dice: dice ?? null, model: bytes }, [bytes.buffer]);
}

async function answer(message: ToTrainer): Promise<void> {
  switch (message.type) {
    case "open":
      opened = await openCases(message.source, (done, total) => send({ type: "reading", done, total }));
      return send({ type: "opened", info: opened.info });
    case "plan":
      return plan(message.choices).then(
        (planned) => send({ type: "planned", planned }),
        (error) => send({ type: "refused", sentence: error.message }),
      );
    case "train":
      return train(message.choices);
    case "stop":
      return stop.abort();
    case "show":
      return preview?.choose(message.id);
  }
}

addEventListener("message", ({ data }: MessageEvent<ToTrainer>) => {
  answer(data).catch((error: unknown) => {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const memory = error instanceof RangeError ? "The page has too little memory for this; drop fewer cases." : null;
    send({ type: "failed", name: memory ? "UserError" : name, message: memory ?? message });
  });
});
