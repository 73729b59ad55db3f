import { el, icon } from "../shared/dom.ts";
import { isPicture } from "../shared/scan.ts";
import { type Actions, penOf, targetsOf } from "./actions.ts";
import { showKeys } from "./keys.ts";
import { changeSides } from "./sides.ts";
import { type Store, type Tool, type View, views, windows } from "./state.ts";

const viewNames: Record<View, string> = {
  all: "All",
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  "3d": "3D",
};
const tools: [Tool, string, string][] = [
  ["move", "Move", "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3"],
  ["draw", "Draw", "M4 20l4-1L19 8a2 2 0 000-3 2 2 0 00-3 0L5 16zM14 7l3 3"],
  ["erase", "Erase", "M8 20h12M5 14l8-9a2 2 0 013 0l3 3a2 2 0 010 3l-8 9H9l-4-4a2 2 0 010-2z"],
];

/** The bar over the pictures: views, tools, undo. */
export function toolBar(store: Store, actions: Actions): HTMLElement {
  const viewButtons = views.map((view) =>
    el("button", { type: "button", on: { click: () => store.set({ view }) } }, viewNames[view]),
  );
  const toolButtons = tools.map(([tool, name, path]) =>
    el("button", { type: "button", title: name, on: { click: () => store.set({ tool }) } }, icon(path), name),
  );
  const label = el("select", { aria: { label: "Label to draw" } });
  label.addEventListener("change", () => store.set({ penLabel: Number(label.value) }));
  const size = el("input", { type: "range", min: "1", max: "30", step: "1", aria: { label: "Pen size in mm" } });
  size.addEventListener("input", () => store.set({ penSize: Number(size.value) }));
  const sizeText = el("span", { className: "number small" });
  const undo = iconButton("Undo", "M9 14L4 9l5-5M4 9h10a6 6 0 010 12h-3", actions.undo);
  const redo = iconButton("Redo", "M15 14l5-5-5-5M20 9H10a6 6 0 000 12h3", actions.redo);
  const keys = iconButton("Keys", "M9 9a3 3 0 116 0c0 2-3 2.5-3 4.5M12 17.5v.1", showKeys);
  const sides = el("button", { type: "button", className: "sides", on: { click: () => changeSides(store) } });
  const contrast = el("select", { aria: { label: "Contrast" } }, ...windows.map(({ name }) => el("option", {}, name)));
  contrast.addEventListener("change", () => store.set({ window: contrast.selectedIndex }));
  const pen = el("div", { className: "row pen" }, label, size, sizeText);
  const bar = el(
    "div",
    { className: "tools", aria: { role: "toolbar", label: "Views and tools" } },
    el("div", { className: "group", aria: { role: "group", label: "View" } }, ...viewButtons),
    sides,
    el("div", { className: "group", aria: { role: "group", label: "Tool" } }, ...toolButtons),
    contrast,
    pen,
    el("div", { className: "row end" }, undo, redo, keys),
  );
  store.watch((state, before) => {
    bar.hidden = !state.scan;
    for (const [i, view] of views.entries()) viewButtons[i].setAttribute("aria-pressed", String(view === state.view));
    for (const [i, [tool]] of tools.entries()) toolButtons[i].setAttribute("aria-pressed", String(tool === state.tool));
    contrast.hidden = !state.isCt;
    contrast.selectedIndex = state.window;
    sides.hidden = !state.scan || isPicture(state.scan.scan);
    sides.textContent = state.fromFeet ? "R | L" : "L | R";
    sides.title = state.fromFeet ? "The patient's left is on the right" : "The patient's left is on the left";
    sides.setAttribute("aria-label", `${sides.title}; change sides`);
    pen.hidden = state.tool === "move";
    label.hidden = state.tool !== "draw";
    undo.disabled = !state.mask?.canUndo;
    redo.disabled = !state.mask?.canRedo;
    sizeText.textContent = `${state.penSize} mm`;
    size.value = String(state.penSize);
    if (state.models !== before.models || state.mask !== before.mask || label.childElementCount === 0) {
      const { labels } = targetsOf(state);
      const drawn = labels.filter(({ value }) => value !== 0);
      label.replaceChildren(...drawn.map(({ value, name }) => el("option", { value: String(value) }, name)));
    }
    label.value = String(penOf(state));
  });
  return bar;
}

function iconButton(name: string, path: string, work: () => void): HTMLButtonElement {
  return el(
    "button",
    { type: "button", className: "plain icon", title: name, aria: { label: name }, on: { click: work } },
    icon(path),
  );
}
