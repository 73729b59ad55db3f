import "../runs/runs.css";
import "./train.css";
import { byId, el } from "../shared/dom.ts";
import { acceptDrops } from "../shared/open-files.ts";
import { startShell } from "../shared/shell.ts";
import { createStore } from "../shared/store.ts";
import { createActions } from "./actions.ts";
import { caseTable } from "./case-table.ts";
import { choicesCard } from "./choices-card.ts";
import { curves } from "./curves.ts";
import { dataCard } from "./data-card.ts";
import { overlay } from "./overlay.ts";
import { runCard } from "./run-card.ts";
import { initial, isRunning, type State } from "./state.ts";

startShell("train");
const store = createStore<State>(initial);
const actions = createActions(store);
const slices = overlay(store, actions);

const views = [
  { id: "cases", name: "Cases", element: caseTable(store, actions) },
  { id: "run", name: "Training", element: el("div", { className: "run-view" }, curves(store), slices.element) },
] as const;
const tabs = views.map(({ id, name }) =>
  el(
    "button",
    { type: "button", aria: { role: "tab", controls: `view-${id}` }, on: { click: () => store.set({ view: id }) } },
    name,
  ),
);
for (const { id, name, element } of views) {
  element.id = `view-${id}`;
  element.setAttribute("role", "tabpanel");
  element.setAttribute("aria-label", name);
}
const tabBar = el("div", { className: "tabs", aria: { role: "tablist", label: "Views" } }, ...tabs);
store.watch(({ view, run }) => {
  tabBar.hidden = run === null;
  for (const [i, { id, element }] of views.entries()) {
    element.hidden = id !== view;
    tabs[i].ariaSelected = String(id === view);
  }
});

byId("page").append(
  el("div", { className: "side" }, dataCard(store, actions), choicesCard(store, actions), runCard(store, actions)),
  el("div", { className: "left" }, tabBar, ...views.map(({ element }) => element)),
);
acceptDrops(document.body, (files) => void actions.open(files));

addEventListener("keydown", (event) => {
  const { target } = event;
  const typing = target instanceof HTMLElement && target.closest("input, select, textarea, summary, dialog");
  const pressing = event.key === " " && target instanceof HTMLButtonElement;
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey || store.get().view !== "run") return;
  if (slices.key(event)) event.preventDefault();
});
addEventListener("beforeunload", (event) => {
  const state = store.get();
  if (isRunning(state) || state.run?.result?.saved === false) event.preventDefault();
});
