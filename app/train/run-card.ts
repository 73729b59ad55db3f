import { el } from "../shared/dom.ts";
import { bytes, counted, dice, duration } from "../shared/format.ts";
import type { Actions } from "./actions.ts";
import { isRunning, type Run, type Store } from "./state.ts";

/** Starts and ends a run, says how it goes and what it took, and gives out what it made. */
export function runCard(store: Store, actions: Actions): HTMLElement {
  const button = (text: string, title: string, work: () => unknown, className = ""): HTMLButtonElement =>
    el("button", { type: "button", className, title, on: { click: () => void work() } }, text);
  const start = button("Train", "", actions.train, "main grow");
  const stop = button("Stop", "End now and keep the best model", actions.stop, "main grow");
  const discard = button("Discard", "End now and keep nothing", actions.discard);
  const save = button(
    "Save model",
    "model.safetensors, for lunet predict and the segment page",
    actions.saveModel,
    "main",
  );
  const log = button("Save log", "A line of JSON for each epoch", actions.saveLog);
  const attempt = button("Try it", "Try it on the segment page", actions.tryModel);
  attempt.setAttribute("aria-label", "Try it on the segment page");
  const bar = el("progress", { aria: { label: "Steps done" } });
  const status = el("p", { className: "number" });
  const pace = el("p", { className: "soft small number" });
  const words = el("p", { className: "soft small", aria: { live: "polite" } });
  const said = el("p", { className: "unseen", aria: { role: "status" } });
  const results = el("div", { className: "row" }, save, attempt, log);
  const card = el(
    "section",
    { className: "card", aria: { label: "Run" } },
    el("div", { className: "row" }, start, stop, discard),
    ...[bar, status, pace, words, results, said],
  );
  store.watch((state) => {
    const { run, planned, reading } = state;
    const running = isRunning(state);
    start.hidden = running;
    start.textContent = run?.result ? "Train again" : "Train";
    start.classList.toggle("main", !run?.result);
    start.disabled = reading !== null || !planned || planned.need.refusal !== null;
    stop.hidden = discard.hidden = !running;
    stop.disabled = run?.status === "stopping";
    stop.textContent = run?.status === "stopping" ? "Stopping ..." : "Stop";
    bar.hidden = !running;
    const standing = run?.standing;
    if (standing) {
      bar.max = standing.steps;
      bar.value = standing.step;
    } else bar.removeAttribute("value");
    const text = run ? statusText(run) : "";
    status.textContent = text;
    status.hidden = text === "";
    pace.textContent = run ? paceText(run) : "";
    pace.hidden = pace.textContent === "";
    words.textContent = run?.words.join(" ") ?? "";
    words.hidden = words.textContent === "";
    results.hidden = !run?.result && (run?.records.length ?? 0) === 0;
    save.hidden = attempt.hidden = !run?.result;
    // Not every step is read out.
    const news = run && !running ? text : run?.phase ? "" : running ? "Training" : "";
    if (said.textContent !== news) said.textContent = news;
  });
  return card;
}

function statusText({ status, phase, standing, result, targets }: Run): string {
  if (result) {
    const scores = result.dice?.map((value, k) => `${targets[k]} ${dice(value)}`);
    const score = scores ? `, validation Dice ${scores.join(", ")}` : "";
    return `${status === "stopped" ? "Stopped" : "Done"}: weights after ${counted(result.steps, "step")}${score}.`;
  }
  if (status === "failed") return "The run failed.";
  if (phase !== "") return `${phase[0].toUpperCase()}${phase.slice(1)}`;
  if (!standing) return "Starting";
  const { step, steps, secondsLeft } = standing;
  return `Step ${step} of ${steps}, ${duration(1000 * secondsLeft)} left`;
}

function paceText({ standing, start }: Run): string {
  if (!start) return "";
  const { engine, threads } = start;
  const where = engine === "wasm" ? `wasm, ${counted(threads, "thread")}` : "WebGPU";
  if (!standing) return where;
  return `${where}, ${duration(standing.millisecondsAStep)} a step, ${bytes(standing.engineBytes)}, loss ${standing.loss.toFixed(3)}`;
}
