import "./style.css";
import { processors } from "../../src/util/processors.ts";
import { el, icon } from "./dom.ts";
import { counted } from "./format.ts";
import { showError } from "./messages.ts";
import { keep, recall } from "./recall.ts";

const pages = [
  { id: "segment", name: "Segment", file: "index.html" },
  { id: "train", name: "Train", file: "train.html" },
  { id: "runs", name: "Runs", file: "runs.html" },
] as const;
export type PageId = (typeof pages)[number]["id"];
declare const __PAGES__: string[];

const logo = "M4 20V5h4v11h4V9h4v7h4V5";
const sun =
  "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4";
const moon = "M20 14.5A8.5 8.5 0 019.5 4a8.5 8.5 0 1010.5 10.5z";

const dark = matchMedia("(prefers-color-scheme: dark)");
const themeKey = "lunet-theme";

/** "dark" or "light": the reader's choice, else the system's. */
export function theme(): "dark" | "light" {
  const choice = recall(themeKey);
  if (choice === "dark" || choice === "light") return choice;
  return dark.matches ? "dark" : "light";
}

function applyTheme(): void {
  document.documentElement.dataset.theme = theme();
  dispatchEvent(new Event("themechange"));
}

function themeButton(): HTMLButtonElement {
  const button = el("button", { className: "plain icon" });
  const paint = (): void => {
    const next = theme() === "dark" ? "light" : "dark";
    button.replaceChildren(icon(next === "dark" ? moon : sun));
    button.setAttribute("aria-label", `Change to ${next} colours`);
    button.title = `Change to ${next} colours`;
  };
  button.addEventListener("click", () => {
    keep(themeKey, theme() === "dark" ? "light" : "dark");
    applyTheme();
  });
  addEventListener("themechange", paint);
  paint();
  return button;
}

/**
 * Puts the header of every page before the rest of the body: links, whether the page works offline, threads, theme. Fires
 * "themechange" on window when the colours change. `offline`: whether the page keeps itself for use without its server.
 */
export function startShell(page: PageId, { offline = true } = {}): void {
  applyTheme();
  dark.addEventListener("change", applyTheme);
  const links = pages
    .filter(({ file }) => __PAGES__.includes(file))
    .map(({ id, name, file }) => el("a", { href: file, aria: id === page ? { current: "page" } : {} }, name));
  const state = el("div", { className: "state small soft", aria: { role: "status" } });
  const header = el(
    "header",
    { className: "top" },
    el("div", { className: "brand" }, icon(logo), "lunet"),
    links.length > 1 && el("nav", { aria: { label: "Pages" } }, ...links),
    state,
    themeButton(),
  );
  document.body.prepend(header);
  if (offline) void showState(state);
}

/** Threads that a worker of this page may compute with. */
export function availableThreads(): number {
  return globalThis.crossOriginIsolated ? processors() : 1;
}

function reloadButton(text: string): HTMLButtonElement {
  return el("button", { type: "button", className: "link small", on: { click: () => location.reload() } }, text);
}

/** "works offline · 2 threads", and where only a reload brings the threads, a button for it. */
async function showState(state: HTMLElement): Promise<void> {
  const threads = counted(availableThreads(), "thread");
  const paint = (ready: boolean, words: string): void => {
    state.replaceChildren(el("span", { className: ready ? "dot ready" : "dot" }), el("span", {}, words));
  };
  paint(false, threads);
  if (!("serviceWorker" in navigator) || !window.isSecureContext) return;
  // A page that an older worker serves hears here of a newer build; the first worker is none.
  let served = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (served) state.append(reloadButton("reload for the new version"));
    served = true;
  });
  try {
    const registration = await navigator.serviceWorker.register("./sw.js");
    await navigator.serviceWorker.ready;
    paint(true, `Works offline · ${threads}`);
    if (registration.active && !globalThis.crossOriginIsolated && processors() > 1) {
      state.append(reloadButton(`reload for ${processors()}`));
    }
  } catch (error) {
    // Private windows refuse it; the page works without.
    if (!(error instanceof DOMException) && !(error instanceof TypeError)) showError(error);
  }
}
