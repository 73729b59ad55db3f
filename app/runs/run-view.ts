import type { PruneFile } from "../../src/prune/types.ts";
import type { RunFile } from "../../src/train/run-folder.ts";
import { type ChartView, chartView } from "../shared/chart.ts";
import { el } from "../shared/dom.ts";
import { casesView } from "./cases-view.ts";
import { type CurveRun, chartsOfRun } from "./curves.ts";
import { titleOf } from "./list.ts";
import type { Reader, RunData } from "./reader.ts";
import type { Entry } from "./records.ts";
import type { Route } from "./route.ts";
import type { View } from "./view.ts";
import { badge, grouped, percent, since, stateReasons } from "./words.ts";

const tabNames = { curves: "Curves", cases: "Cases", settings: "Settings" } as const;

/** One run: how it goes, its cases, what it was told. */
export function runView(reader: Reader, entry: Entry, route: Route, go: (route: Partial<Route>) => void): View {
  const heading = el("div", { className: "heading" });
  const notices = el("div", { className: "notices" });
  const body = el("div", { className: "tab-body" });
  const element = el(
    "section",
    { className: "detail", aria: { label: titleOf(entry, reader) } },
    heading,
    notices,
    tabBar(route, go),
    body,
  );
  const tab = (route.tab in tabNames ? route.tab : "curves") as keyof typeof tabNames;
  const inner =
    tab === "cases" ? casesView(reader, entry, route, go) : tab === "settings" ? settingsPart(body) : curvesPart();
  if (inner.element !== body) body.replaceChildren(inner.element);

  return {
    element,
    key: (event) => inner.key?.(event) ?? false,
    close: () => inner.close?.(),
    update: async () => {
      const run = await reader.run(entry);
      heading.replaceChildren(
        el(
          "div",
          { className: "row" },
          el("h1", {}, titleOf({ ...entry, parent: null }, reader)),
          badge(run.state.word),
        ),
        el("p", { className: "soft number" }, factsOf(run).join(" \u00b7 ")),
      );
      const reason = stateReasons[run.state.word];
      const sentences = [...run.state.problems, ...(reason ? [reason] : [])];
      notices.replaceChildren(...sentences.map((sentence) => el("p", { className: "sentence" }, sentence)));
      await inner.show(run);
    },
  };
}

/** A part of the view: {@link View}, but with the run at hand. */
export interface RunPart extends Omit<View, "update"> {
  show(run: RunData): Promise<void> | void;
}

function tabBar(route: Route, go: (route: Partial<Route>) => void): HTMLElement {
  const current = route.tab in tabNames ? route.tab : "curves";
  return el(
    "div",
    { className: "tabs", role: "tablist" },
    ...Object.entries(tabNames).map(([tab, name]) =>
      el(
        "button",
        {
          type: "button",
          role: "tab",
          aria: { selected: String(tab === current) },
          on: { click: () => go({ tab: tab as Route["tab"], case: null }) },
        },
        name,
      ),
    ),
  );
}

function factsOf({ entry, state, record, changed }: RunData): string[] {
  if (!record) return [];
  const steps = state.steps === null || state.steps === state.step ? "" : ` of ${grouped(state.steps)}`;
  return [
    state.net,
    `${grouped(state.parameters ?? 0)} parameters`,
    ...(state.step === null ? [] : [`${entry.kind === "prune" ? "removal" : "step"} ${grouped(state.step)}${steps}`]),
    ...(state.dice === null ? [] : [`validation Dice ${percent(state.dice)}`]),
    record.fold === null ? "all cases" : `fold ${record.fold}`,
    record.data.name,
    `last change ${since(changed)}`,
  ];
}

export const curveRunOf = (run: RunData, name: string, colour: number): CurveRun => ({
  kind: run.entry.kind === "prune" ? "prune" : "train",
  ...{ name, colour, log: run.log, curve: run.curve, classes: run.classes },
});

function curvesPart(): RunPart {
  const element = el("div", { className: "charts" });
  const views: ChartView[] = [];
  return {
    element,
    show: (run) => {
      for (const [index, chart] of chartsOfRun(curveRunOf(run, "", 0)).entries()) {
        if (views[index]) views[index].update(chart);
        else {
          views[index] = chartView(chart);
          element.append(views[index].element);
        }
      }
    },
  };
}

function settingsPart(element: HTMLElement): RunPart {
  return {
    element,
    show: ({ record, entry }) => {
      if (!record) return element.replaceChildren();
      element.replaceChildren(
        el(
          "div",
          { className: "settings" },
          ...Object.entries(settingsOf(record, entry.kind)).map(([title, values]) =>
            el(
              "div",
              { className: "card" },
              el("h2", {}, title),
              el(
                "table",
                { className: "plain" },
                ...Object.entries(values).map(([name, value]) =>
                  el("tr", {}, el("td", { className: "soft" }, name), el("td", {}, valueText(value))),
                ),
              ),
            ),
          ),
        ),
      );
    },
  };
}

/** The record's values in a few tables. */
function settingsOf(record: RunFile | PruneFile, kind: Entry["kind"]): Record<string, Record<string, unknown>> {
  const { data, netName, parameters, fold, trainingCases, validationCases, started, lunet, engine, settings } = record;
  return {
    Run: {
      started,
      lunet,
      engine,
      data: data.path ?? data.images,
      net: netName,
      parameters,
      fold: fold === null ? "none" : fold,
      "training cases": trainingCases.length,
      "validation cases": validationCases.length,
      ...("budget" in record ? { budget: record.budget, steps: record.steps } : {}),
    },
    Settings: { ...settings },
    ...(kind === "prune" ? { Pruning: { ...(record as PruneFile).pruning } } : {}),
    ...(record.result ? { Result: { ...record.result } } : {}),
  };
}

/** A value as text: lists with commas, objects as "key value". */
function valueText(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return String(Number.isInteger(value) ? grouped(value) : Number(value.toPrecision(6)));
  if (Array.isArray(value)) return value.map(valueText).join(", ");
  if (typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, inner]) => `${name} ${valueText(inner)}`)
    .join(", ");
}
