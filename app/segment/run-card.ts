import { el } from "../shared/dom.ts";
import type { EngineChoice } from "../shared/engine.ts";
import { bytes, counted, duration } from "../shared/format.ts";
import type { Actions } from "./actions.ts";
import type { Run, Store } from "./state.ts";

const engines: [EngineChoice, string][] = [
  ["auto", "Auto"],
  ["webgpu", "WebGPU"],
  ["wasm", "wasm"],
];

/** Starts and stops a segmentation, and says how it goes and what it took. */
export function runCard(store: Store, actions: Actions): HTMLElement {
  const start = el(
    "button",
    { type: "button", className: "main grow", on: { click: () => void actions.segment() } },
    "Segment",
  );
  const cancel = el("button", { type: "button", on: { click: actions.cancel } }, "Cancel");
  const engine = el(
    "select",
    { aria: { label: "Engine" }, title: "What computes: the graphics processor (WebGPU) or the processor (wasm)" },
    ...engines.map(([value, text]) => el("option", { value }, text)),
  );
  engine.addEventListener("change", () => store.set({ engine: engine.value as EngineChoice }));
  const bar = el("progress", { aria: { label: "Windows done" } });
  const status = el("p", { className: "number", aria: { live: "polite" } });
  const words = el("p", { className: "soft small", aria: { live: "polite" } });
  const card = el(
    "section",
    { className: "card", aria: { label: "Segmentation" } },
    el("div", { className: "row" }, start, cancel, engine),
    bar,
    status,
    words,
  );
  store.watch(({ run, scan, models, words: said, opening }) => {
    const running = run.status === "running";
    start.disabled = running || opening || !scan || models.length === 0;
    engine.disabled = running;
    cancel.hidden = bar.hidden = !running;
    if (run.status === "running" && run.total > 1) {
      bar.max = run.total;
      bar.value = run.done;
    } else bar.removeAttribute("value");
    const text = statusText(run);
    if (status.textContent !== text) status.textContent = text;
    status.hidden = text === "";
    words.textContent = said.join(" ");
    words.hidden = said.length === 0;
  });
  return card;
}

function statusText(run: Run): string {
  if (run.status === "idle") return "";
  if (run.status === "cancelled") return "Cancelled.";
  if (run.status === "done") {
    const { engine, threads, adapter, milliseconds, bytes: size } = run.result;
    const gpu = adapter ? `WebGPU (${adapter})` : "WebGPU";
    const where = engine === "wasm" ? `wasm, ${counted(threads, "thread")}` : gpu;
    return `${where}, ${duration(milliseconds)}, ${bytes(size)}`;
  }
  if (run.total === 0) return "Preparing";
  const left = run.done > 1 ? ((performance.now() - run.start) / run.done) * (run.total - run.done) : 0;
  const rest = left > 1000 ? `, ${duration(left)} left` : "";
  return run.total === 1 ? "One window" : `Window ${run.done} of ${run.total}${rest}`;
}
