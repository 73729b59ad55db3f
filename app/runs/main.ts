import { el } from "../shared/dom.ts";
import { filesOfDrop, filesOfInput, type GivenFile } from "../shared/given-files.ts";
import { showError } from "../shared/messages.ts";
import { startShell } from "../shared/shell.ts";
import { compareView } from "./compare-view.ts";
import { fileSource } from "./files.ts";
import { runList, titleOf } from "./list.ts";
import { createReader, type Reader } from "./reader.ts";
import { type Entry, nameOf } from "./records.ts";
import { type Route, readRoute, writeRoute } from "./route.ts";
import { runView } from "./run-view.ts";
import { httpSource } from "./source.ts";
import { studyView } from "./study-view.ts";
import type { View } from "./view.ts";

/** How often a folder on a server is looked at again, in ms: while the page is seen. */
const pollMs = 2000;

/** Set where the page is built for `lunet serve`. */
declare const __SERVED__: boolean | undefined;
const served = typeof __SERVED__ !== "undefined" && __SERVED__;

startShell("runs", { offline: !served });
const main = el("main", { className: "runs" });
document.body.append(main);

/** Folders that the reader has opened; one may be a data set for the runs of another. */
let given: GivenFile[] = [];
let session: { close(): void } | null = null;

const input = el("input", { type: "file", hidden: true, multiple: true });
input.setAttribute("webkitdirectory", "");
input.addEventListener("change", () => openFiles(filesOfInput(input)));
document.body.append(input);
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer) filesOfDrop(event.dataTransfer).then((files) => files && openFiles(files), showError);
});
const openButton = (main = false): HTMLElement =>
  el("button", { type: "button", className: main ? "main" : "", on: { click: () => input.click() } }, "Open a folder");

if (served) start(createReader(httpSource()));
else welcome();

function openFiles(files: GivenFile[]): void {
  input.value = "";
  const fresh = new Set(files.map(({ path }) => path));
  given = [...given.filter(({ path }) => !fresh.has(path)), ...files];
  const records = ["run.json", "prune.json", "cross-validation.json", "study.json"];
  if (!given.some(({ path }) => records.includes(nameOf(path)))) {
    const words = `a run, prune, cross-validation or study folder, or one that holds such, but what was opened has none of ${records.join(", ")}`;
    showError(
      Object.assign(new Error(`Expected ${words}; give the --out of lunet train, prune or study.`), {
        name: "UserError",
      }),
    );
    return;
  }
  start(createReader(fileSource(given)));
}

function welcome(): void {
  main.classList.add("empty");
  main.replaceChildren(
    el(
      "section",
      { className: "card welcome" },
      el("h1", {}, "Look at runs"),
      el(
        "p",
        {},
        "Open the folder of a run, a cross-validation, a pruning or a study, or a folder that holds such. Or drop it here.",
      ),
      el(
        "p",
        { className: "soft" },
        "Add the folder of the data set to see its scans. The files stay on this machine.",
      ),
      el("div", { className: "row" }, openButton(true)),
      el("p", { className: "soft small" }, "lunet serve FOLDER shows runs while they train, and predicts their cases."),
    ),
  );
}

function start(reader: Reader): void {
  session?.close();
  main.classList.remove("empty");
  let route = readRoute(location.hash);
  let view: View | null = null;
  let shown = "";
  let timer = 0;
  let busy: Promise<void> = Promise.resolve();
  const list = runList(reader, go);
  const name = el("h2", { className: "cut" });
  const compare = el("div", { className: "row", hidden: true });
  const note = el("p", { className: "sentence", hidden: true });
  const aside = el(
    "aside",
    { aria: { label: "Runs" } },
    el("div", { className: "row spread" }, name, openButton()),
    compare,
    note,
    list.element,
  );
  const detail = el("div", { className: "detail-side" });
  main.replaceChildren(aside, detail);

  function go(change: Partial<Route>): void {
    const next = { ...route, ...change };
    if (change.path !== undefined) {
      next.kind = change.kind ?? null;
      next.case = change.case ?? null;
      // From run to run the tab stays.
      next.tab = change.tab ?? route.tab;
    }
    const replace = change.case !== undefined && Object.keys(change).length === 1;
    history[replace ? "replaceState" : "pushState"](null, "", writeRoute(next));
    route = next;
    render();
  }

  const entryOf = ({ path, kind }: Route): Entry | undefined =>
    reader.found().entries.find((entry) => entry.path === path && (kind === null || entry.kind === kind));

  function viewOf(): { key: string; make: () => View } | null {
    const { entries } = reader.found();
    const open = ({ path, kind }: Entry): void => go({ path, kind });
    const entry = entryOf(route);
    if (!entry) {
      const chosen = (): Entry[] =>
        reader
          .found()
          .entries.filter(({ path, kind }) => kind !== "folds" && kind !== "study" && route.compare.includes(path));
      if (chosen().length < 2) return null;
      const spec = { title: "Comparison", entries: chosen, nameOf: (one: Entry) => one.path || titleOf(one, reader) };
      return { key: `compare ${route.compare}`, make: () => compareView(reader, spec, open) };
    }
    if (entry.kind === "study")
      return { key: `study ${entry.path} ${route.tab}`, make: () => studyView(reader, entry, route, go) };
    if (entry.kind === "folds") {
      const folds = (): Entry[] =>
        reader.found().entries.filter(({ parent, kind }) => parent === entry.path && kind === "train");
      const spec = { title: titleOf(entry, reader), entries: folds, nameOf: (one: Entry) => nameOf(one.path) };
      return { key: `folds ${entry.path} ${folds().length > 0}`, make: () => compareView(reader, spec, open) };
    }
    return {
      key: `run ${entry.kind} ${entry.path} ${route.tab} ${entries.length > 0}`,
      make: () => runView(reader, entry, route, go),
    };
  }

  function render(): void {
    // One after the other, so that a slow answer does not overwrite a later one.
    busy = busy.then(paint).catch(showError);
  }

  async function paint(): Promise<void> {
    const { entries } = reader.found();
    if (!entryOf(route) && route.compare.length < 2 && entries.length > 0) {
      const first = entries.find(({ parent }) => parent === null) ?? entries[0];
      route = { ...route, path: first.path, kind: first.kind };
    }
    name.textContent = reader.folderName() || "Runs";
    compare.hidden = route.compare.length < 2;
    compare.replaceChildren(
      el(
        "button",
        { type: "button", className: "main", on: { click: () => go({ path: null, kind: null }) } },
        `Compare ${route.compare.length} runs`,
      ),
      el("button", { type: "button", className: "plain", on: { click: () => go({ compare: [] }) } }, "Clear"),
    );
    note.hidden = !reader.truncated();
    note.textContent =
      "The folder is too large or too deep to be listed whole; serve a folder inside it to see the rest.";
    await list.update(route);
    const next = viewOf();
    if (next?.key !== shown) {
      view?.close?.();
      view = next?.make() ?? null;
      shown = next?.key ?? "";
      detail.replaceChildren(...(view ? [view.element] : []));
    }
    await view?.update();
  }

  async function poll(): Promise<void> {
    clearTimeout(timer);
    const began = performance.now();
    try {
      if (document.visibilityState === "visible" && (await reader.refresh())) render();
    } catch (error) {
      showError(error);
    }
    // A folder that takes long to list is listed less often.
    if (reader.source.jobs) timer = window.setTimeout(poll, Math.max(pollMs, 10 * (performance.now() - began)));
  }

  const onHash = (): void => {
    route = readRoute(location.hash);
    render();
  };
  const onKey = (event: KeyboardEvent): void => {
    const { target } = event;
    const typing = target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "range";
    const pressed = event.key === " " && (target instanceof HTMLButtonElement || target instanceof HTMLInputElement);
    if (typing || pressed || event.ctrlKey || event.metaKey || event.altKey) return;
    if (view?.key?.(event)) event.preventDefault();
  };
  addEventListener("popstate", onHash);
  addEventListener("keydown", onKey);
  session = {
    close: () => {
      clearTimeout(timer);
      view?.close?.();
      removeEventListener("popstate", onHash);
      removeEventListener("keydown", onKey);
    },
  };
  void poll();
}
