import type { JobOrder, JobState } from "../../src/serve/types.ts";
import { el } from "../shared/dom.ts";
import { showError } from "../shared/messages.ts";
import type { Reader } from "./reader.ts";

export interface JobPanel {
  element: HTMLElement;
  /** `label` of the button that starts the work; null: there is none to do. `main`: it is what the reader most likely wants. */
  show(label: string | null, main: boolean): void;
  close(): void;
}

const pollMs = 700;

/** Starts work on the server, shows how far it is, and stops it. Empty where there is no server. */
export function jobPanel(reader: Reader, order: JobOrder): JobPanel {
  const element = el("div", { className: "job", hidden: true });
  const { jobs } = reader.source;
  let label: string | null = null;
  let isMain = false;
  let state: JobState | null = null;
  let timer = 0;
  let closed = false;

  const act = (work: () => Promise<unknown>): void => {
    work()
      .then(poll)
      .catch((error) => {
        showError(error);
        void poll();
      });
  };

  async function poll(): Promise<void> {
    if (!jobs || closed) return;
    clearTimeout(timer);
    state = await jobs.state().catch(() => null);
    paint();
    if (state?.state === "running") timer = window.setTimeout(poll, pollMs);
  }

  function paint(): void {
    const mine = state && state.path === order.path && state.kind === order.kind ? state : null;
    const running = state?.state === "running";
    const parts: HTMLElement[] = [];
    if (mine && running) {
      const words =
        mine.kind === "report"
          ? "Writing the report"
          : mine.total === 0
            ? "Starting"
            : `Predicting ${mine.done} of ${mine.total}`;
      const bar = el("progress", { max: 1, aria: { label: words } });
      if (mine.total > 0) bar.value = mine.done / mine.total;
      parts.push(
        el(
          "div",
          { className: "row spread" },
          el("span", { role: "status" }, words),
          el("button", { type: "button", on: { click: () => act(() => jobs!.stop()) } }, "Stop"),
        ),
        bar,
      );
    } else if (label !== null) {
      const start = el(
        "button",
        {
          type: "button",
          className: isMain ? "main" : "",
          disabled: running,
          title: running ? "Other work is being done" : "",
          on: { click: () => act(() => jobs!.start(order)) },
        },
        label,
      );
      parts.push(el("div", { className: "row" }, start));
    }
    if (mine && !running && mine.message !== "") parts.push(el("p", { className: "sentence" }, mine.message));
    element.hidden = parts.length === 0;
    element.replaceChildren(...parts);
  }

  void poll();
  return {
    element,
    show: (next, main) => {
      if (next === label && main === isMain) return;
      [label, isMain] = [jobs ? next : null, main];
      paint();
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}
