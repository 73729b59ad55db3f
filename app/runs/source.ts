import type { CaseList, JobOrder, JobState, Listing } from "../../src/serve/types.ts";
import { UserError } from "../../src/util/errors.ts";

/** Where a worker finds the bytes of a scan. */
export type ScanRef = { url: string } | { blob: Blob };

/** Work that only a server can do. */
export interface JobSource {
  state(): Promise<JobState | null>;
  start(order: JobOrder): Promise<JobState>;
  stop(): Promise<void>;
}

/** Where runs come from: a server, or a folder that the browser was given. Paths are relative to the folder, with "/". */
export interface Source {
  list(): Promise<Listing>;
  text(path: string): Promise<string>;
  /** Cases of the data set of a run folder, and why there are none. */
  cases(run: string): Promise<CaseList>;
  /** A scan of such a case: its truth, or an image by number. */
  scan(run: string, id: string, part: number | "truth"): ScanRef;
  /** A file of the folder. */
  file(path: string): ScanRef;
  /** Absent where files cannot change: the browser gave them as they were. */
  jobs?: JobSource;
}

const encoded = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

/** The runs that `lunet serve` shows. */
export function httpSource(): Source {
  const get = async (url: string, init?: RequestInit): Promise<Response> => {
    const response = await fetch(url, init).catch(() => {
      throw new UserError("lunet serve does not answer any more; start it again and reload the page.");
    });
    if (response.ok) return response;
    const { error } = (await response.json().catch(() => ({}))) as { error?: string };
    throw new UserError(error ?? `The server answered ${response.status}.`);
  };
  const order = async (value: unknown): Promise<JobState> => {
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
    return (await get("api/job", init)).json();
  };
  return {
    list: async () => (await get("api/list")).json(),
    text: async (path) => (await get(`files/${encoded(path)}`)).text(),
    cases: async (run) => (await get(`api/cases/${encoded(run)}`)).json(),
    scan: (run, id, part) => ({
      url: new URL(`api/scan/${encoded(run)}?${new URLSearchParams({ case: id, part: String(part) })}`, location.href)
        .href,
    }),
    file: (path) => ({ url: new URL(`files/${encoded(path)}`, location.href).href }),
    jobs: {
      state: async () => (await get("api/job")).json(),
      start: order,
      stop: async () => void (await order({ kind: "stop" })),
    },
  };
}
