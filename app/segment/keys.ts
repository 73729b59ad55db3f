import { el } from "../shared/dom.ts";
import type { Actions } from "./actions.ts";
import { changeSides } from "./sides.ts";
import type { Store } from "./state.ts";

const help: [string[], string][] = [
  [["Wheel"], "slices of the view under the pointer"],
  [["←", "→", "↑", "↓"], "one slice back or on; with Shift ten"],
  [["Click"], "moves the cross; in 3D dragging turns"],
  [["Right drag"], "contrast from what is in the box; double click resets"],
  [["X"], "patient's left on the right, or on the left"],
  [["["], "mask more transparent"],
  [["]"], "mask less transparent"],
  [["Space"], "mask on and off"],
  [["Ctrl", "Z"], "undo; with Shift redo"],
  [["M", "D", "E"], "move, draw, erase"],
  [["?"], "these keys"],
];

/** A dialog with the keys. */
export function showKeys(): void {
  const dialog = el("dialog", { aria: { labelledby: "keys-title" } });
  const list = help.map(([keys, text]) =>
    el("tr", {}, el("td", {}, ...keys.flatMap((key, i) => [i > 0 && " ", el("kbd", {}, key)])), el("td", {}, text)),
  );
  const close = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  dialog.append(
    el("h2", { id: "keys-title" }, "Keys and mouse"),
    el("table", { className: "plain keys" }, el("tbody", {}, ...list)),
    close,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Whether an element uses a key itself: text, a slider's arrows, the space of a button. */
function usesKey(element: Element, key: string): boolean {
  if (element.matches("select, textarea, [contenteditable], input:not([type=range], [type=checkbox])")) return true;
  if (element.matches("[type=range]")) return key.startsWith("Arrow");
  return key === " " && element.closest("button, a, [type=checkbox]") !== null;
}

/** Listens for keys on the whole page, before the viewer does. */
export function listenForKeys(store: Store, actions: Actions, step: (slices: number) => void): void {
  const steps: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  const opacity = (by: number) => (): void => {
    store.set({ opacity: Math.min(1, Math.max(0, Math.round((store.get().opacity + by) * 20) / 20)), maskOn: true });
  };
  const work: Record<string, () => void> = {
    "[": opacity(-0.1),
    "]": opacity(0.1),
    " ": () => store.set({ maskOn: !store.get().maskOn }),
    x: () => changeSides(store),
    m: () => store.set({ tool: "move" }),
    d: () => store.set({ tool: "draw" }),
    e: () => store.set({ tool: "erase" }),
    "?": showKeys,
  };
  const onKey = (event: KeyboardEvent): void => {
    const target = event.target as Element;
    if (document.querySelector("dialog[open]") || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const command = event.ctrlKey || event.metaKey;
    let done: (() => void) | undefined;
    if (command && key === "z") done = event.shiftKey ? actions.redo : actions.undo;
    else if (command && key === "y") done = actions.redo;
    else if (command || usesKey(target, key)) return;
    else if (key in steps) done = () => step(steps[key] * (event.shiftKey ? 10 : 1));
    else done = work[key];
    if (!done || (!store.get().scan && done !== showKeys)) return;
    event.preventDefault();
    event.stopPropagation();
    done();
  };
  addEventListener("keydown", onKey, true);
  // What was clicked with a mouse lets the keys go, so that space and arrows do as the help says.
  addEventListener("click", ({ detail, target }) => {
    if (detail > 0 && target instanceof Element) target.closest<HTMLElement>("button, input:not([type=text])")?.blur();
  });
}
