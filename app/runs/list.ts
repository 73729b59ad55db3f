import { el } from "../shared/dom.ts";
import { counted } from "../shared/format.ts";
import type { Reader, RunData } from "./reader.ts";
import { type Entry, nameOf, type StudyRun, studyRuns } from "./records.ts";
import type { Route } from "./route.ts";
import { badge, percent, short } from "./words.ts";

export interface RunList {
  element: HTMLElement;
  update(route: Route): Promise<void>;
}

/** The list of everything in the folder: runs with state, net, progress and Dice; studies and cross-validations with their runs within. */
export function runList(reader: Reader, go: (route: Partial<Route>) => void): RunList {
  const element = el("div", { className: "run-list", role: "list" });
  const open = new Set<string>();
  let [shown, chosen] = ["", ""];

  /** `arm`: what the run is in its study. */
  const rowOf = (entry: Entry, route: Route, data: RunData, arm?: StudyRun & { label: string }): HTMLElement => {
    const { state } = data;
    const title = arm ? `${arm.name} ${arm.label}` : titleOf(entry, reader);
    const chosen = route.compare.includes(entry.path);
    const check = el("input", {
      type: "checkbox",
      checked: chosen,
      title: "Compare with others",
      aria: { label: `Compare ${title}` },
    });
    check.addEventListener("change", () => {
      const others = route.compare.filter((path) => path !== entry.path);
      go({ compare: check.checked ? [...others, entry.path] : others });
    });
    const facts = [
      arm ? `fold ${arm.fold}, seed ${arm.seed}` : state.net,
      state.parameters === null ? "" : short(state.parameters),
    ].filter((fact) => fact !== "");
    const share = state.steps ? Math.min(1, (state.step ?? 0) / state.steps) : null;
    const running = state.word === "running" && share !== null;
    const bar = running && el("progress", { value: share, max: 1, aria: { label: "Steps done" } });
    return el(
      "div",
      { className: entry.parent === null ? "entry" : "entry part", role: "listitem" },
      check,
      el(
        "button",
        {
          type: "button",
          aria: isShown(entry, route) ? { current: "true" } : {},
          data: { path: entry.path },
          on: { click: () => go({ path: entry.path }) },
        },
        el("span", { className: "row spread" }, el("span", { className: "name cut", title }, title), badge(state.word)),
        el(
          "span",
          { className: "row spread small soft" },
          el("span", { className: "cut" }, facts.join(" \u00b7 ")),
          el(
            "span",
            { className: "number", title: "Mean validation Dice of the best weights, in percent" },
            percent(state.dice),
          ),
        ),
        bar,
      ),
    );
  };

  const groupOf = async (entry: Entry, route: Route, children: readonly Entry[]): Promise<HTMLElement[]> => {
    const key = `${entry.kind} ${entry.path}`;
    const isOpen = open.has(key);
    const expander = el(
      "button",
      {
        type: "button",
        className: "plain expander",
        aria: { expanded: String(isOpen), label: `Runs of ${titleOf(entry, reader)}` },
        on: {
          click: () => {
            if (isOpen) open.delete(key);
            else open.add(key);
            void list.update(route);
          },
        },
      },
      isOpen ? "\u25be" : "\u25b8",
    );
    const head = el(
      "div",
      { className: "entry", role: "listitem" },
      expander,
      el(
        "button",
        {
          type: "button",
          aria: isShown(entry, route) ? { current: "true" } : {},
          data: { path: entry.path },
          on: { click: () => go({ path: entry.path, kind: entry.kind }) },
        },
        el("span", { className: "name cut" }, titleOf(entry, reader)),
        el("span", { className: "small soft" }, await groupWords(entry, children)),
      ),
    );
    if (!isOpen) return [head];
    const study = entry.kind === "study" ? await reader.study(entry) : null;
    const arms = new Map(
      study &&
        studyRuns(study, entry.path, reader.found().files).map((run) => [
          run.path,
          { ...run, label: study.arms[run.arm].label },
        ]),
    );
    const rows = children.map(async (child) => rowOf(child, route, await reader.run(child), arms.get(child.path)));
    return [head, ...(await Promise.all(rows))];
  };

  const groupWords = async (entry: Entry, children: readonly Entry[]): Promise<string> => {
    if (entry.kind === "folds") return `cross-validation, ${counted(children.length, "fold")} begun`;
    const study = await reader.study(entry);
    if (!study) return "study, study.json is damaged";
    const runs = studyRuns(study, entry.path, reader.found().files);
    return `study, ${runs.filter(({ word }) => word === "done").length} of ${runs.length} runs done`;
  };

  const list: RunList = {
    element,
    update: async (route) => {
      const { entries } = reader.found();
      // What is chosen anew is to be seen.
      const parent = entries.find((entry) => isShown(entry, route))?.parent ?? null;
      if (route.path !== chosen) for (const { kind, path } of entries) if (path === parent) open.add(`${kind} ${path}`);
      chosen = route.path ?? "";
      const rows = await Promise.all(
        entries
          .filter(({ parent }) => parent === null)
          .map(async (entry) => {
            const children = entries.filter(({ parent, path }) => parent === entry.path && path !== entry.path);
            if (entry.kind === "study" || entry.kind === "folds") return groupOf(entry, route, children);
            return [rowOf(entry, route, await reader.run(entry))];
          }),
      );
      const fresh = rows.flat();
      const text = fresh.map((row) => row.outerHTML).join("") + route.compare.join("\n");
      if (text === shown) return;
      shown = text;
      const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.path : undefined;
      element.replaceChildren(...fresh);
      if (focused !== undefined) {
        const again = [...element.querySelectorAll<HTMLElement>("[data-path]")].find(
          (one) => one.dataset.path === focused,
        );
        again?.focus();
      }
    },
  };
  return list;
}

const isShown = ({ path, kind }: Entry, route: Route): boolean =>
  path === route.path && (route.kind === null || route.kind === kind);

/** A run's name: its path, of a part of a group the last piece. */
export function titleOf(entry: Pick<Entry, "path" | "parent">, reader: Pick<Reader, "folderName">): string {
  if (entry.path === "") return reader.folderName() || "this folder";
  return entry.parent === null ? entry.path : nameOf(entry.path);
}
