import { askSure } from "../shared/ask.ts";
import { leaveModel } from "../shared/handover.ts";
import { clearMessages, showError, showNotice } from "../shared/messages.ts";
import { saveFile } from "../shared/open-files.ts";
import type { NamedFile } from "../shared/scan.ts";
import type { FromTrainer, ToTrainer } from "../worker/train-worker.ts";
import type { Choices } from "./choices.ts";
import type { CaseSource } from "./read-cases.ts";
import { isRunning, type Run, type Store } from "./state.ts";

/** Why nobody waits for the cases any more. */
const cancelled = new Error("cancelled");

/** All that changes the page's state beyond what is shown. */
export interface Actions {
  /** A data set, or images and labels; plain files are added to those before. */
  open(files: readonly NamedFile[]): Promise<void>;
  openPhantoms(): Promise<void>;
  /** Closes the cases, or ends the reading of them. */
  clear(): void;
  choose(change: Partial<Choices>): void;
  train(): Promise<void>;
  /** Ends the run after its step and keeps its best model. */
  stop(): void;
  /** Ends the run at once; nothing is kept. */
  discard(): void;
  /** Shows another case that validates. */
  show(id: string): void;
  saveModel(): void;
  saveLog(): void;
  /** Opens the segment page with the model. */
  tryModel(): Promise<void>;
}

export function createActions(store: Store): Actions {
  let worker: Worker | null = null;
  /** Who waits for the cases. */
  let opening: { resolve(): void; reject(error: unknown): void } | null = null;
  /** What the worker has open, to be read again after a worker was ended. */
  let source: CaseSource | null = null;
  /** Plain files that were dropped so far. */
  let plain: NamedFile[] = [];

  const endWorker = (): void => {
    worker?.terminate();
    worker = null;
  };

  const trainer = (): Worker => {
    if (worker) return worker;
    const own = new Worker(new URL("../worker/train-worker.ts", import.meta.url), { type: "module" });
    own.onmessage = ({ data }: MessageEvent<FromTrainer>) => {
      if (worker === own) hear(data);
    };
    own.onerror = (event) => {
      if (worker !== own) return;
      const fault = new Error(event.message || "the computing thread ended, perhaps for want of memory");
      if (isRunning(store.get())) setRun({ status: "failed" });
      endWorker();
      if (opening) return settle(fault);
      showError(fault);
      void reopen();
    };
    worker = own;
    return own;
  };
  const post = (message: ToTrainer): void => trainer().postMessage(message);
  const setRun = (change: Partial<Run>): void => {
    const { run } = store.get();
    if (run) store.set({ run: { ...run, ...change } });
  };
  /** Ends the wait for the cases. */
  const settle = (error?: unknown): void => {
    const waiting = opening;
    opening = null;
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(error);
  };

  const hear = (data: FromTrainer): void => {
    const { run } = store.get();
    if (data.type === "reading") store.set({ reading: { done: data.done, total: data.total } });
    else if (data.type === "opened") {
      const { choices } = store.get();
      const { folds } = data.info;
      const kept = choices.fold !== null && choices.fold < folds.length ? choices.fold : folds.length > 0 ? 0 : null;
      const fold = choices.fold === null ? null : kept;
      store.set({ cases: data.info, choices: { ...choices, fold } });
      settle();
    } else if (data.type === "failed") {
      const error = Object.assign(new Error(data.message), { name: data.name });
      if (opening) settle(error);
      else {
        if (isRunning(store.get())) setRun({ status: "failed" });
        showError(error);
      }
    } else if (data.type === "planned") store.set({ planned: data.planned, refused: null });
    else if (data.type === "refused") store.set({ planned: null, refused: data.sentence });
    else if (!run) return;
    else if (data.type === "word") setRun({ words: [...run.words, data.sentence] });
    else if (data.type === "phase") setRun({ phase: data.text });
    else if (data.type === "started") {
      const { type: _, ...start } = data;
      // A run that begins again on another engine begins anew.
      setRun({ start, records: [], standing: null, finding: null, phase: "" });
    } else if (data.type === "step") setRun({ standing: data.standing, phase: "" });
    else if (data.type === "record") setRun({ records: [...run.records, data.record] });
    else if (data.type === "finding") setRun({ finding: data.finding });
    else if (data.type === "nothing") {
      store.set({ run: null, view: "cases" });
      showNotice("Stopped before the first step: there is no model.");
    } else {
      const { steps, dice, model } = data;
      const status = data.run.state === "interrupted" ? "stopped" : "done";
      setRun({ status, result: { steps, dice, model, saved: false }, phase: "" });
    }
  };

  const read = async (next: CaseSource): Promise<void> => {
    store.set({ reading: { done: 0, total: 0 } });
    try {
      await new Promise<void>((resolve, reject) => {
        opening = { resolve, reject };
        post({ type: "open", source: next });
      });
      source = next;
    } finally {
      store.set({ reading: null });
    }
    post({ type: "plan", choices: store.get().choices });
  };

  /** After a worker was ended the next one reads the same cases. */
  const reopen = async (): Promise<void> => {
    if (source) await read(source).catch(showError);
  };

  const guarded = async (work: () => Promise<void>): Promise<void> => {
    if (isRunning(store.get())) return showNotice("Stop the training before you open other cases.");
    if (opening) return showNotice("Cases are being read; wait for them, or cancel.");
    clearMessages();
    try {
      await work();
      store.set({ view: "cases" });
    } catch (error) {
      if (error !== cancelled) showError(error);
    }
  };

  return {
    open: (files) =>
      guarded(async () => {
        if (files.some(({ path }) => /(^|\/)dataset\.json$/.test(path))) {
          plain = [];
          return read({ kind: "files", files: [...files] });
        }
        const before = plain;
        const added = [...new Map([...before, ...files].map((file) => [file.path, file])).values()];
        try {
          plain = added;
          await read({ kind: "files", files: added });
        } catch (error) {
          if (error === cancelled) throw error;
          // The new files may be a set of their own.
          plain = store.get().cases ? before : added;
          if (before.length === 0) throw error;
          await read({ kind: "files", files: [...files] }).catch(() => {
            throw error;
          });
          plain = [...files];
        }
      }),
    openPhantoms: () =>
      guarded(async () => {
        plain = [];
        await read({ kind: "phantoms", count: 20 });
      }),
    clear() {
      if (isRunning(store.get())) return;
      endWorker();
      settle(cancelled);
      source = null;
      plain = [];
      store.set({ reading: null, cases: null, planned: null, refused: null, view: "cases" });
    },
    choose(change) {
      store.set({ choices: { ...store.get().choices, ...change } });
      if (store.get().cases && !opening) post({ type: "plan", choices: store.get().choices });
    },
    async train() {
      const { planned, choices, cases, run: before } = store.get();
      if (!cases || !planned || planned.need.refusal || isRunning(store.get())) return;
      const unsaved = before?.result?.saved === false;
      if (unsaved && !(await askSure("The trained model is not saved. Train again without it?", "Train again"))) return;
      clearMessages();
      const run: Run = {
        status: "running",
        phase: "starting",
        ...{ start: null, standing: null, finding: null, result: null },
        ...{ records: [], words: [], labels: cases.labels, targets: cases.targets },
      };
      store.set({ run, view: "run" });
      post({ type: "train", choices });
    },
    stop() {
      setRun({ status: "stopping" });
      post({ type: "stop" });
    },
    discard() {
      endWorker();
      store.set({ run: null, view: "cases" });
      void reopen();
    },
    show: (id) => post({ type: "show", id }),
    saveModel() {
      const { run } = store.get();
      if (!run?.result) return;
      saveFile("model.safetensors", run.result.model);
      setRun({ result: { ...run.result, saved: true } });
    },
    saveLog() {
      const { run } = store.get();
      if (!run) return;
      const lines = run.records.map((record) => `${JSON.stringify(record)}\n`).join("");
      saveFile("log.jsonl", new TextEncoder().encode(lines));
    },
    async tryModel() {
      const { run } = store.get();
      if (!run?.result || !run.start) return;
      const { data, netName } = run.start.run;
      // Opened before the wait, as browsers want a click close by.
      const page = window.open("", "_blank");
      try {
        await leaveModel({ name: `${netName} on ${data.name}`, bytes: run.result.model });
        const address = new URL("index.html#trained", location.href).href;
        if (page) page.location.href = address;
        else location.assign(address);
      } catch (error) {
        page?.close();
        showError(error);
      }
    },
  };
}
