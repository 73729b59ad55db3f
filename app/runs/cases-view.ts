import type { CaseList } from "../../src/serve/types.ts";
import { el } from "../shared/dom.ts";
import { counted } from "../shared/format.ts";
import { showError } from "../shared/messages.ts";
import type { SceneLabel } from "../shared/paint.ts";
import { sliceViewer } from "../shared/slices.ts";
import { jobPanel } from "./job-panel.ts";
import type { Reader, RunData } from "./reader.ts";
import { type Entry, joined } from "./records.ts";
import type { Route } from "./route.ts";
import type { RunPart } from "./run-view.ts";
import type { ScanMessage, ScanOrder, Scene } from "./scan-worker.ts";
import { type CaseRow, isOlderModel, predictionOf, type Scores, worstFirst } from "./scores.ts";
import { percent } from "./words.ts";

/** The cases of a run from worst to best, and slices of the chosen one with truth and prediction. */
export function casesView(reader: Reader, entry: Entry, route: Route, go: (route: Partial<Route>) => void): RunPart {
  const viewer = sliceViewer();
  const table = el("div", { className: "case-table" });
  const note = el("p", { className: "sentence", hidden: true });
  const progress = el("p", { className: "case-note soft", role: "status" });
  const panel = jobPanel(reader, { kind: "cases", path: entry.path });
  const stage = el("div", { className: "stage" }, progress, viewer.element);
  const left = el("div", { className: "case-list" }, panel.element, note, table);
  const element = el("div", { className: "cases" }, left, stage);

  let by: number | "mean" = "mean";
  let run: RunData | null = null;
  let scores: Scores | null = null;
  let data: CaseList = { cases: [], pictures: false, problem: null };
  let rows: CaseRow[] = [];
  let chosen = route.case;
  let shown = "";
  let worker: Worker | null = null;

  const choose = (id: string): void => {
    chosen = id;
    go({ case: id });
    paintTable();
    void showCase();
  };

  function paintTable(): void {
    rows = scores ? worstFirst(scores.rows, by) : [];
    const classes = scores?.classes ?? [];
    // Cases without scores can still be looked at.
    const rest = scores ? [] : validationIds(run).map((id): CaseRow => ({ id, dice: [], mean: Number.NaN }));
    const all = [...rows, ...rest];
    chosen ??= all[0]?.id ?? null;
    const parts = rows.some(({ part }) => part !== undefined);
    const sorter = (name: string, key: number | "mean"): HTMLElement =>
      el(
        "th",
        { className: "number", aria: by === key ? { sort: "ascending" } : {} },
        el(
          "button",
          {
            type: "button",
            className: "plain",
            title: "Worst first",
            on: {
              click: () => {
                by = key;
                paintTable();
              },
            },
          },
          `${name}${by === key ? " \u25b4" : ""}`,
        ),
      );
    const head = scores
      ? [
          el("th", {}, "case"),
          ...(parts ? [el("th", {}, "part")] : []),
          sorter("Dice %", "mean"),
          ...(classes.length > 1 ? classes.map(sorter) : []),
        ]
      : [el("th", {}, "case")];
    const focused = table.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset.case
      : undefined;
    const scroll = table.scrollTop;
    table.replaceChildren(
      el(
        "table",
        { className: "plain" },
        el("thead", {}, el("tr", {}, ...head)),
        el("tbody", {}, ...all.map((row) => rowOf(row, parts, classes.length))),
      ),
    );
    table.scrollTop = scroll;
    if (focused !== undefined) table.querySelector<HTMLElement>("tr.chosen button")?.focus();
  }

  function rowOf({ id, dice, mean, part, hd95 }: CaseRow, parts: boolean, classes: number): HTMLElement {
    const button = el(
      "button",
      { type: "button", className: "link", title: id, data: { case: id }, on: { click: () => choose(id) } },
      id,
    );
    const bar = el("span", { className: "bar" });
    bar.style.width = `${Number.isFinite(mean) ? 100 * mean : 0}%`;
    const distances = (hd95 ?? []).map((mm) => (mm === null ? "-" : mm.toFixed(1))).join(", ");
    return el(
      "tr",
      {
        className: id === chosen ? "chosen" : "",
        title: distances === "" ? "" : `HD95 ${distances} mm`,
        on: {
          click: (event) => {
            if (event.target !== button) choose(id);
          },
        },
      },
      el("td", {}, button),
      parts && el("td", { className: "soft", title: `${part} case` }, part === "validation" ? "val" : part),
      scores && el("td", { className: "number mean" }, percent(mean), el("span", { className: "track" }, bar)),
      ...(classes > 1 ? dice.map((d) => el("td", { className: "number" }, percent(d))) : []),
    );
  }

  async function showCase(): Promise<void> {
    const id = chosen;
    const paths = reader.found().files.keys();
    const prediction = id === null ? null : predictionOf(scores, entry.path, id, paths);
    const known = data.cases.find((one) => one.id === id);
    const modified = prediction ? reader.found().files.get(prediction)?.modified : 0;
    const now = JSON.stringify([id, prediction, modified, known, data.problem]);
    if (now === shown) return;
    shown = now;
    worker?.terminate();
    worker = null;
    viewer.clear();
    if (id === null) return say("", true);
    if (data.problem) return say(data.problem, true);
    if (!known || known.images === 0) return say(`The case ${id} is not in the data set, so it cannot be shown.`, true);
    say("Reading the scan");
    const order: ScanOrder = {
      id,
      image: reader.source.scan(entry.path, id, 0),
      truth: known.label ? reader.source.scan(entry.path, id, "truth") : null,
      prediction: prediction ? reader.source.file(prediction) : null,
      pictures: data.pictures,
    };
    const started = new Worker(new URL("./scan-worker.ts", import.meta.url), { type: "module" });
    worker = started;
    started.addEventListener("error", () =>
      say(`The scans of ${id} cannot be shown: the page ran out of memory, or its files are incomplete.`, true),
    );
    started.addEventListener("message", ({ data: message }: MessageEvent<ScanMessage>) => {
      if (worker !== started) return;
      if (message.kind === "step") return say(message.text);
      started.terminate();
      worker = null;
      if (message.kind === "failed") return say(message.message, true);
      say(prediction ? "" : "There is no prediction of this case yet; only the truth is shown.");
      viewer.show(message.scene, labelsOf(message.scene));
    });
    started.postMessage(order);
  }

  function labelsOf({ values }: Scene): SceneLabel[] {
    const named = (run?.labels ?? []).map(({ value, name }, colour) => ({ value, name, colour }));
    const more = values.filter((value) => !named.some((label) => label.value === value));
    return [...named, ...more.map((value, i) => ({ value, name: `label ${value}`, colour: named.length + i }))];
  }

  /** `alone`: there are no slices to show under it. */
  function say(text: string, alone = false): void {
    progress.textContent = text;
    progress.hidden = text === "";
    progress.className = alone ? "sentence" : "case-note soft";
    viewer.element.hidden = alone;
  }

  function isOld(): boolean {
    const { files } = reader.found();
    const model = files.get(joined(entry.path, "model.safetensors"))?.modified;
    const own = scores && files.get(scores.file)?.modified;
    return Boolean(scores?.model && model && own && isOlderModel(scores.model, model, own));
  }

  function step(by: number): void {
    const index = rows.findIndex(({ id }) => id === chosen);
    const next = rows[index + by];
    if (next) choose(next.id);
  }

  return {
    element,
    show: async (next) => {
      run = next;
      const problem = (error: unknown): CaseList => ({
        cases: [],
        pictures: false,
        problem: error instanceof Error ? error.message : String(error),
      });
      [scores, data] = await Promise.all([reader.scores(next), reader.source.cases(entry.path).catch(problem)]);
      const count = validationIds(next).length;
      const sentences = [
        ...(scores
          ? []
          : [
              reader.source.jobs
                ? ""
                : "No scores are among the opened files; lunet evaluate --json or lunet serve make them.",
            ]),
        ...(isOld()
          ? ["The predictions come from an older model of this run; predict again for those of the present one."]
          : []),
        ...(next.record && count === 0 && !scores
          ? ["The run has no validation cases: it was trained on all cases."]
          : []),
        ...(scores?.failed ?? []).map(({ id, error }) => `${id}: ${error}`),
      ].filter((sentence) => sentence !== "");
      note.textContent = sentences.join(" ");
      note.hidden = sentences.length === 0;
      const has = reader.found().files.has(joined(entry.path, "model.safetensors"));
      const label = scores?.model === undefined ? "Predict" : "Predict again";
      panel.show(
        has && count > 0 && !data.problem ? `${label} the ${counted(count, "validation case")}` : null,
        scores === null || isOld(),
      );
      paintTable();
      await showCase().catch(showError);
    },
    key: (event) => {
      const key = event.key.toLowerCase();
      if (key === "n") step(1);
      else if (key === "p") step(-1);
      else return viewer.key(event);
      return true;
    },
    close: () => {
      worker?.terminate();
      panel.close();
    },
  };
}

const validationIds = (run: RunData | null): string[] => run?.record?.validationCases ?? [];
