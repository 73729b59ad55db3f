import { type ChartView, chartView, colours } from "../shared/chart.ts";
import { el } from "../shared/dom.ts";
import { chartsOfSeveral } from "./curves.ts";
import type { Reader, RunData } from "./reader.ts";
import type { Entry } from "./records.ts";
import { curveRunOf } from "./run-view.ts";
import type { View } from "./view.ts";
import { badge, grouped, percent } from "./words.ts";

/** Several runs in one plot each, and side by side in a table; used for chosen runs and for the folds of a cross-validation. */
export function compareView(
  reader: Reader,
  { title, entries, nameOf }: { title: string; entries: () => Entry[]; nameOf: (entry: Entry) => string },
  open: (entry: Entry) => void,
): View {
  const table = el("div", { className: "scroll" });
  const charts = el("div", { className: "charts" });
  const element = el("section", { className: "detail", aria: { label: title } }, el("h1", {}, title), table, charts);
  let views: ChartView[] = [];
  return {
    element,
    update: async () => {
      const runs = await Promise.all(entries().map((entry) => reader.run(entry)));
      table.replaceChildren(tableOf(runs, nameOf, open));
      const wanted = chartsOfSeveral(
        runs.flatMap((run, i) => (run.record ? [curveRunOf(run, nameOf(run.entry), i)] : [])),
      );
      if (views.length !== wanted.length) {
        views = wanted.map(chartView);
        charts.replaceChildren(...views.map((view) => view.element));
      } else for (const [index, chart] of wanted.entries()) views[index].update(chart);
    },
  };
}

function tableOf(
  runs: readonly RunData[],
  nameOf: (entry: Entry) => string,
  open: (entry: Entry) => void,
): HTMLElement {
  const classes = runs.find((run) => run.classes.length > 0)?.classes ?? [];
  const shared = runs.every((run) => run.classes.join() === classes.join());
  const bestOf = (run: RunData): readonly number[] | null =>
    (run.record?.result && "best" in run.record.result ? run.record.result.best.dice : null) ??
    [...run.log, ...run.curve].reduce<{ mean: number; dice: number[] | null }>(
      (best, { validationDice }) => {
        const mean = validationDice ? validationDice.reduce((sum, d) => sum + d, 0) / validationDice.length : -1;
        return mean > best.mean ? { mean, dice: validationDice } : best;
      },
      { mean: -1, dice: null },
    ).dice;
  const header = ["run", "state", "net", "parameters", "step", "Dice %", ...(shared ? classes : [])];
  return el(
    "table",
    { className: "plain" },
    el("thead", {}, el("tr", {}, ...header.map((name, i) => el("th", { className: i > 2 ? "number" : "" }, name)))),
    el(
      "tbody",
      {},
      ...runs.map((run, index) => {
        const { state, entry } = run;
        const dice = bestOf(run);
        const numbers = [
          state.parameters === null ? "-" : grouped(state.parameters),
          state.step === null ? "-" : grouped(state.step),
          percent(state.dice),
          ...(shared ? classes.map((_, c) => percent(dice?.[c])) : []),
        ];
        return el(
          "tr",
          {},
          el(
            "td",
            {},
            el("span", { className: `key c${index % colours}` }),
            el("button", { type: "button", className: "link", on: { click: () => open(entry) } }, nameOf(entry)),
          ),
          el("td", {}, badge(state.word)),
          el("td", {}, state.net),
          ...numbers.map((text) => el("td", { className: "number" }, text)),
        );
      }),
    ),
  );
}
