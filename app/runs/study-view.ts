import type { StudyOnDisk } from "../../src/study/resolve.ts";
import { el } from "../shared/dom.ts";
import { counted } from "../shared/format.ts";
import { jobPanel } from "./job-panel.ts";
import { titleOf } from "./list.ts";
import type { Reader } from "./reader.ts";
import { type Entry, joined, type StudyRun, type StudyRunWord, studyRuns } from "./records.ts";
import { reportFrame } from "./report-frame.ts";
import type { Route } from "./route.ts";
import { scoresOfResult } from "./scores.ts";
import type { View } from "./view.ts";
import { grouped, percent } from "./words.ts";

const words: StudyRunWord[] = ["done", "running", "waiting", "interrupted", "failed", "missing"];
const tabNames = { status: "Status", report: "Report" } as const;

/** A study: how its runs stand, arm by arm, and its report. */
export function studyView(reader: Reader, entry: Entry, route: Route, go: (route: Partial<Route>) => void): View {
  const tab = route.tab === "report" ? "report" : "status";
  const heading = el("div", { className: "heading" });
  const body = el("div", { className: "tab-body" });
  const panel = jobPanel(reader, { kind: "report", path: entry.path });
  const tabs = el(
    "div",
    { className: "tabs", role: "tablist" },
    ...Object.entries(tabNames).map(([name, text]) =>
      el(
        "button",
        {
          type: "button",
          role: "tab",
          aria: { selected: String(name === tab) },
          on: { click: () => go({ tab: name as Route["tab"] }) },
        },
        text,
      ),
    ),
  );
  const notices = el("div", { className: "notices" });
  const element = el(
    "section",
    { className: "detail", aria: { label: titleOf(entry, reader) } },
    heading,
    notices,
    tabs,
    body,
  );
  const frame = tab === "report" ? reportFrame(reader, joined(entry.path, "report.html")) : null;
  if (frame) body.append(panel.element, frame.element);

  return {
    element,
    close: () => panel.close(),
    update: async () => {
      const study = await reader.study(entry);
      heading.replaceChildren(el("h1", {}, study ? `${study.name} on ${study.data}` : titleOf(entry, reader)));
      if (!study) {
        const sentence =
          "study.json is not the description of a study of this version of lunet; its runs are in the list.";
        notices.replaceChildren(el("p", { className: "sentence" }, sentence));
        return;
      }
      const runs = studyRuns(study, entry.path, reader.found().files);
      const counts = words
        .map((word) => [word, runs.filter((run) => run.word === word).length] as const)
        .filter(([, n]) => n > 0);
      heading.append(
        el(
          "p",
          { className: "soft" },
          [
            counted(runs.length, "run"),
            ...counts.map(([word, n]) => `${n} ${word}`),
            `scale ${study.scale}`,
            `lunet ${study.lunet}`,
          ].join(" \u00b7 "),
        ),
      );
      if (frame) {
        const age = reportAge(reader, entry, runs);
        panel.show(age === "none" ? "Write the report" : age === "old" ? "Write the report anew" : null, true);
        notices.replaceChildren(...noticesOf(age, reader.source.jobs !== undefined, runs));
        await frame.update();
      } else body.replaceChildren(await armTable(reader, study, runs, go), await failures(reader, study, runs));
    },
  };
}

type ReportAge = "none" | "old" | "new";

/** A report is old where a run has ended since. */
function reportAge(reader: Reader, entry: Entry, runs: readonly StudyRun[]): ReportAge {
  const { files } = reader.found();
  const report = files.get(joined(entry.path, "report.html"));
  if (!report) return "none";
  const ends = runs.flatMap(({ path }) =>
    ["result.json", "failure.json"].map((name) => files.get(`${path}/${name}`)?.modified ?? 0),
  );
  return Math.max(0, ...ends) > report.modified ? "old" : "new";
}

function noticesOf(age: ReportAge, served: boolean, runs: readonly StudyRun[]): HTMLElement[] {
  if (age === "new") return [];
  const done = runs.some(({ word }) => word === "done");
  const sentence =
    age === "old"
      ? "Runs have ended since this report was written."
      : `There is no report yet.${served && done ? "" : " lunet study report DIR writes it."}`;
  return [el("p", { className: "sentence" }, sentence)];
}

/** A row an arm: its runs, and Dice on test cases over those that are done. */
async function armTable(
  reader: Reader,
  study: StudyOnDisk,
  runs: readonly StudyRun[],
  go: (route: Partial<Route>) => void,
): Promise<HTMLElement> {
  const done = new Map<StudyRun, { dice: number; parameters: number } | null>();
  for (const run of runs.filter(({ word }) => word === "done"))
    done.set(run, await resultOf(reader, run, study.classes ?? []));
  const rows = study.arms.map((arm, index) => {
    const own = runs.filter((run) => run.arm === index);
    const results = own.flatMap((run) => done.get(run) ?? []);
    const mean = (of: (r: { dice: number; parameters: number }) => number): number | null =>
      results.length === 0 ? null : results.reduce((sum, r) => sum + of(r), 0) / results.length;
    const dice = mean((r) => r.dice);
    const parameters = mean((r) => r.parameters);
    const dots = own.map((run) => {
      const title = `${run.name}, fold ${run.fold}, seed ${run.seed}: ${run.word}`;
      const begun = run.word === "done" || run.word === "running" || run.word === "interrupted";
      const open = (): void => go({ path: run.path, kind: arm.kind, tab: "curves", case: null });
      return el("button", {
        type: "button",
        className: `run-dot ${run.word}`,
        title,
        disabled: !begun,
        aria: { label: title },
        on: { click: open },
      });
    });
    return el(
      "tr",
      {},
      el("td", {}, arm.label),
      el("td", {}, el("span", { className: "dots" }, ...dots)),
      el("td", { className: "number" }, `${own.filter(({ word }) => word === "done").length} of ${own.length}`),
      el("td", { className: "number" }, percent(dice)),
      el("td", { className: "number" }, parameters === null ? "-" : grouped(Math.round(parameters))),
    );
  });
  const head = ["arm", "runs", "done", "test Dice %", "parameters"];
  return el(
    "div",
    { className: "scroll" },
    el(
      "table",
      { className: "plain" },
      el("thead", {}, el("tr", {}, ...head.map((name, i) => el("th", { className: i > 1 ? "number" : "" }, name)))),
      el("tbody", {}, ...rows),
    ),
  );
}

async function resultOf(
  reader: Reader,
  run: StudyRun,
  classes: readonly string[],
): Promise<{ dice: number; parameters: number } | null> {
  const text = await reader.text(`${run.path}/result.json`).catch(() => "");
  const scores = scoresOfResult(text, run.path, classes);
  const test = (scores?.rows ?? []).filter(({ part }) => part === "test");
  if (test.length === 0) return null;
  const { sizes, chosen } = JSON.parse(text) as { sizes: { parameters: number }[]; chosen: number };
  return { dice: test.reduce((sum, { mean }) => sum + mean, 0) / test.length, parameters: sizes[chosen].parameters };
}

async function failures(reader: Reader, study: StudyOnDisk, runs: readonly StudyRun[]): Promise<HTMLElement> {
  const failed = runs.filter(({ word }) => word === "failed");
  const lines = await Promise.all(
    failed.map(async ({ name, path, arm }) => {
      const text = await reader.text(`${path}/failure.json`).catch(() => "");
      const message = messageOf(text);
      return el("p", { className: "sentence" }, `${name} ${study.arms[arm].label}: ${message}`);
    }),
  );
  return el("div", { className: "notices" }, ...lines);
}

function messageOf(failure: string): string {
  try {
    return String((JSON.parse(failure) as { message: string }).message);
  } catch {
    return "failure.json is damaged.";
  }
}
