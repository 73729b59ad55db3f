import type { Summary } from "../evaluate/summary.ts";

/** One file of the folder that is looked at; `path` is relative to it, with "/". */
export interface ListedFile {
  path: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/** What `/api/list` gives. */
export interface Listing {
  /** Of the folder. */
  name: string;
  files: ListedFile[];
  /** True where the folder holds more than is listed. */
  truncated: boolean;
}

/** A case of a run, as far as its data set knows it. */
export interface CaseEntry {
  id: string;
  /** Number of image files. */
  images: number;
  label: boolean;
}

/** What `/api/cases/RUN` gives; `problem` says why scans cannot be shown. */
export interface CaseList {
  cases: CaseEntry[];
  /** Whether the scans are pictures or stacks of such, whose first row is the top. */
  pictures: boolean;
  problem: string | null;
}

/** Work that the server does in a process of its own. */
export interface JobOrder {
  kind: "cases" | "report";
  /** Folder of the run or study, relative to the folder that is looked at; "" is that folder itself. */
  path: string;
}

export interface JobState extends JobOrder {
  state: "running" | "done" | "failed" | "stopped";
  done: number;
  /** 0 where it is not known. */
  total: number;
  /** Why it failed, or what else there is to say. */
  message: string;
}

/** What the process of a job sends. */
export type JobMessage =
  | { kind: "progress"; done: number; total: number }
  | { kind: "done"; message: string }
  | { kind: "failed"; message: string };

/** Folder inside a run folder that holds the predictions of its validation cases, and the file with their scores. */
export const casesFolder = "validation-cases";
export const casesFile = "cases.json";

/** That file: what `lunet evaluate --json` writes, and which model made the predictions. */
export interface CasesFile extends Summary {
  model: { file: string; modified: number };
  failed: { id: string; error: string }[];
}
