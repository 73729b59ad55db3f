import type { FromHelper, HelperJob, HelperResults, ToHelper } from "../worker/helper-worker.ts";
import { el } from "./dom.ts";
import { filesOfDrop, filesOfInput } from "./given-files.ts";
import type { NamedFile, ScanChoice } from "./scan.ts";

let worker: Worker | undefined;
let count = 0;
const open = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();

function helper(): Worker {
  if (worker) return worker;
  worker = new Worker(new URL("../worker/helper-worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = async ({ data }: MessageEvent<FromHelper>) => {
    const { id } = data;
    if (data.type === "ask") {
      const index = await askWhich(data.choices);
      return post({ type: "answer", id, index });
    }
    const job = open.get(id);
    open.delete(id);
    if (data.type === "done") job?.resolve(data.result);
    else job?.reject(Object.assign(new Error(data.message), { name: data.name }));
  };
  // A page may run out of memory here; what was asked for is then refused, and the next job gets a new worker.
  worker.onerror = (event) => {
    for (const { reject } of open.values()) reject(new Error(event.message || "the helper thread ended"));
    open.clear();
    worker?.terminate();
    worker = undefined;
  };
  return worker;
}

const post = (message: ToHelper): void => helper().postMessage(message);

/** Gives a job to the page's helper thread. Where several scans are found the user is asked which; null when none is wanted. */
export function askHelper<Kind extends HelperJob["kind"]>(
  job: Extract<HelperJob, { kind: Kind }>,
): Promise<HelperResults[Kind]> {
  const id = count++;
  return new Promise<HelperResults[Kind]>((resolve, reject) => {
    open.set(id, { resolve: resolve as (result: unknown) => void, reject });
    post({ type: "job", id, job });
  });
}

/** A dialog with a button a scan. */
function askWhich(choices: readonly ScanChoice[]): Promise<number | null> {
  return new Promise((resolve) => {
    const dialog = el("dialog", { aria: { labelledby: "which-title" } });
    let chosen: number | null = null;
    const choose = (index: number | null) => () => {
      chosen = index;
      dialog.close();
    };
    const buttons = choices.map(({ title, detail }, index) =>
      el(
        "button",
        { type: "button", on: { click: choose(index) } },
        el("span", { className: "cut" }, title),
        el("span", { className: "soft small" }, detail),
      ),
    );
    dialog.append(
      el("h2", { id: "which-title" }, `${choices.length} scans were found. Which one?`),
      el("div", { className: "choices" }, ...buttons),
      el("button", { type: "button", className: "plain", on: { click: choose(null) } }, "None"),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(chosen);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Opens the browser's dialog for files, or for a folder. Empty when it is closed without a choice. */
export function pickFiles({ folder = false, accept = "" } = {}): Promise<NamedFile[]> {
  return new Promise((resolve) => {
    const input = el("input", { type: "file", multiple: !folder, webkitdirectory: folder, accept, hidden: true });
    const finish = (): void => {
      input.remove();
      resolve(filesOfInput(input));
    };
    input.addEventListener("change", finish);
    input.addEventListener("cancel", finish);
    document.body.append(input);
    input.click();
  });
}

/** Calls `onFiles` with what is dropped on an element, folders with all that lies in them; the class "dropping" marks the element. */
export function acceptDrops(target: HTMLElement, onFiles: (files: NamedFile[]) => void): void {
  let depth = 0;
  const mark = (by: number): void => {
    depth = by === 0 ? 0 : Math.max(0, depth + by);
    target.classList.toggle("dropping", depth > 0);
  };
  target.addEventListener("dragenter", (event) => {
    if (event.dataTransfer?.types.includes("Files")) mark(1);
  });
  target.addEventListener("dragleave", () => mark(-1));
  // An element inside may keep the drop for itself.
  addEventListener("drop", () => mark(0), true);
  target.addEventListener("dragover", (event) => event.preventDefault());
  target.addEventListener("drop", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(0);
    const files = event.dataTransfer && (await filesOfDrop(event.dataTransfer));
    if (files) onFiles(files);
  });
}

/** Offers bytes as a file to be saved. */
export function saveFile(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
  const link = el("a", { href: url, download: name });
  link.click();
  // The browser has taken what it needs by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
