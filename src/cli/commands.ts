import type { Command } from "commander";

export interface CommandEntry {
  name: string;
  /** One line for `lunet --help`. */
  summary: string;
  load(): Promise<Command>;
}

/** Every command in the order in which a user meets them; its module is loaded when it is called. */
export const commands: readonly CommandEntry[] = [
  {
    name: "demo",
    summary: "train, predict and evaluate on made-up scans; writes a page with the results",
    load: async () => (await import("./demo.ts")).demoCommand,
  },
  {
    name: "download",
    summary: "get a public data set",
    load: async () => (await import("./download.ts")).downloadCommand,
  },
  {
    name: "series",
    summary: "list the DICOM series of a folder or archive",
    load: async () => (await import("./series.ts")).seriesCommand,
  },
  {
    name: "verify",
    summary: "check every file of a data set",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  {
    name: "report",
    summary: "show a data set on one page: sizes, volumes, intensities, unusual cases with pictures",
    load: async () => (await import("./report.ts")).reportCommand,
  },
  {
    name: "plan",
    summary: "measure a data set and decide spacing, patch, pools and normalisation",
    load: async () => (await import("./plan.ts")).planCommand,
  },
  {
    name: "augment",
    summary: "show what augmentation does to a scan, as a picture, and how long it takes",
    load: async () => (await import("./augment.ts")).augmentCommand,
  },
  {
    name: "info",
    summary: "show the layers, parameters, work and memory of a net or a model",
    load: async () => (await import("./info.ts")).infoCommand,
  },
  {
    name: "train",
    summary: "train a net on a data set into a run folder; resumable",
    load: async () => (await import("./train.ts")).trainCommand,
  },
  {
    name: "prune",
    summary: "remove channels of a net step by step, with training in between; resumable",
    load: async () => (await import("./prune.ts")).pruneCommand,
  },
  {
    name: "study",
    summary: "train and prune many nets on the same cases and compare them in a report",
    load: async () => (await import("./study.ts")).studyCommand,
  },
  {
    name: "calibrate",
    summary: "make a model's probabilities as sure as they are right, on its validation cases",
    load: async () => (await import("./calibrate.ts")).calibrateCommand,
  },
  {
    name: "predict",
    summary: "segment scans with a model or an ensemble",
    load: async () => (await import("./predict.ts")).predictCommand,
  },
  {
    name: "evaluate",
    summary: "compare predicted label maps with the true ones",
    load: async () => (await import("./evaluate.ts")).evaluateCommand,
  },
  {
    name: "best",
    summary: "choose among cross-validations, and post-processing, on cases that the models have not seen",
    load: async () => (await import("./best.ts")).bestCommand,
  },
  {
    name: "serve",
    summary: "show runs, their cases and studies in a web page, also while they train",
    load: async () => (await import("./serve.ts")).serveCommand,
  },
  {
    name: "export",
    summary: "write a model as ONNX for other programs",
    load: async () => (await import("./export.ts")).exportCommand,
  },
  {
    name: "import",
    summary: "take the weights of another program (PyTorch) into a model",
    load: async () => (await import("./import.ts")).importCommand,
  },
  {
    name: "bench",
    summary: "show how fast the engine is on this machine, layer by layer, and what it chose",
    load: async () => (await import("./bench.ts")).benchCommand,
  },
];
