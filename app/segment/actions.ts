import { readModel } from "../../src/model/file.ts";
import { fail } from "../../src/util/errors.ts";
import { reorient, restoreOrientation } from "../../src/volume/orientation.ts";
import { spacingOf, type Volume } from "../../src/volume/volume.ts";
import { askSure } from "../shared/ask.ts";
import { leftModel } from "../shared/handover.ts";
import { clearMessages, showError, showNotice } from "../shared/messages.ts";
import { askHelper } from "../shared/open-files.ts";
import type { NamedFile, Scan } from "../shared/scan.ts";
import type { FromSegmenter, SegmentJob } from "../worker/segment-worker.ts";
import { referenceFor } from "./compare.ts";
import { createMask } from "./mask.ts";
import { hasUnsaved, type ModelFile, type State, type Store } from "./state.ts";

const isModel = ({ path }: NamedFile): boolean => path.toLowerCase().endsWith(".safetensors");
const builtInAddress = "./phantom.safetensors";

/** All that changes the page's state beyond a single setting. */
export interface Actions {
  /** Models, or a scan, or both. */
  open(files: readonly NamedFile[]): Promise<void>;
  openReference(files: NamedFile[]): Promise<void>;
  openPhantom(): Promise<void>;
  useBuiltIn(): Promise<void>;
  /** The model that the training page left. */
  useTrained(): Promise<void>;
  removeModel(model: ModelFile): Promise<void>;
  segment(): Promise<void>;
  cancel(): void;
  toggleSurface(value: number): Promise<void>;
  /** Draws or erases; `work` calls the mask. An empty mask is made where there is none. */
  stroke(work: (mask: NonNullable<State["mask"]>) => void): void;
  undo(): void;
  redo(): void;
  /** The mask on the grid of the scan's file. */
  maskOnFile(): Volume<Uint8Array>;
}

export function createActions(store: Store): Actions {
  let worker: Worker | null = null;
  let opened = 0;

  /** Shows what goes wrong instead of throwing it. */
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    clearMessages();
    try {
      await work();
    } catch (error) {
      showError(error);
    }
  };

  /** Whether what was drawn and not saved may go. */
  const mayDrop = async (yes: string): Promise<boolean> =>
    !hasUnsaved(store.get()) || (await askSure("The corrections of this mask are not saved.", yes));

  const stop = (): void => {
    worker?.terminate();
    worker = null;
  };

  const takeScan = (scan: Scan): void => {
    stop();
    const canonical = scan.volumes.map((volume) => reorient(volume));
    const isCt = looksLikeCt(canonical[0]);
    store.set({
      scan: { scan, canonical, spacing: spacingOf(canonical[0]) },
      channel: 0,
      isCt,
      window: isCt ? 1 : 0,
      view: canonical[0].shape[0] === 1 ? "axial" : "all",
      run: { status: "idle" },
      words: [],
      mask: null,
      reference: null,
      shown: "mask",
      maskOn: true,
      hidden: new Set(),
      surfaces: new Map(),
      tool: "move",
      version: store.get().version + 1,
    });
    if (scan.notes.length > 0) showNotice(scan.notes.join(" "));
  };

  /** Reads a scan; of two asked for, only the later one is taken. */
  const readScan = async (read: () => Promise<void>): Promise<void> => {
    store.set({ opening: true });
    try {
      await read();
    } finally {
      store.set({ opening: false });
    }
  };

  /** Makes shown surfaces anew some time after the last of several changes; until then the old ones stand. */
  let later: ReturnType<typeof setTimeout> | undefined;
  const refreshSurfaces = (): void => {
    clearTimeout(later);
    later = setTimeout(async () => {
      for (const value of store.get().surfaces.keys()) await showSurface(value).catch(showError);
    }, 300);
  };
  const showSurface = async (value: number): Promise<void> => {
    const { mask, scan, version } = store.get();
    if (!mask || !scan) return;
    const { data, shape } = mask.volume;
    const mesh = await askHelper({ kind: "surface", data: data.slice(), shape, value, affine: scaleOf(scan.spacing) });
    if (store.get().mask !== mask || store.get().version !== version) return;
    const surfaces = new Map(store.get().surfaces).set(value, mesh);
    // Everything of the label may have been erased.
    if (mesh.triangles.length === 0) surfaces.delete(value);
    store.set({ surfaces });
  };
  const touched = (change: Partial<State> = {}): void => {
    store.set({ ...change, version: store.get().version + 1 });
    if (store.get().surfaces.size > 0) refreshSurfaces();
  };

  const setModels = (models: readonly ModelFile[]): void => {
    const { penLabel } = store.get();
    const labels = models[0].model.plan.labels.filter(({ value }) => value !== 0);
    const known = labels.some(({ value }) => value === penLabel);
    store.set({ models, ...(known ? {} : { penLabel: labels[0]?.value ?? 1 }) });
  };

  const builtIn = async (): Promise<ModelFile> => {
    const answer = await fetch(builtInAddress);
    if (!answer.ok) fail(`The built-in model did not come (${answer.status}); load the page again.`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return { name: "Phantom", bytes, model: readModel(bytes, "the built-in model"), builtIn: true };
  };

  const actions: Actions = {
    open: (files) =>
      guarded(async () => {
        const models = files.filter(isModel);
        const others = files.filter((file) => !isModel(file));
        if (models.length > 0) {
          const read = models.map(async ({ path, file }) => {
            const bytes = new Uint8Array(await file.arrayBuffer());
            return { name: path, bytes, model: readModel(bytes, path) };
          });
          const own = store.get().models.filter(({ builtIn }) => !builtIn);
          const fresh = await Promise.all(read);
          // One at a time they add up to an ensemble where they can vote together.
          const fits = own.length > 0 && JSON.stringify(votes(own[0])) === JSON.stringify(votes(fresh[0]));
          setModels(fits ? [...own.filter(({ name }) => fresh.every((one) => one.name !== name)), ...fresh] : fresh);
        }
        if (others.length === 0 || !(await mayDrop("Open without saving"))) return;
        const turn = ++opened;
        await readScan(async () => {
          const scan = await askHelper({ kind: "scan", files: others });
          if (scan && turn === opened) takeScan(scan);
        });
      }),
    openReference: (files) =>
      guarded(async () => {
        const { scan } = store.get();
        if (!scan) return fail("Open a scan first; the reference is compared with its mask.");
        const targets = targetsOf(store.get());
        const [first] = scan.scan.volumes;
        const like = { ...first, data: new Uint8Array(0) };
        const found = await askHelper({ kind: "labels", files, like, targets });
        if (!found || store.get().scan !== scan) return;
        const data = referenceFor(found.volume, found.name, scan.canonical[0], targets.labels);
        const { mask } = store.get();
        store.set({ reference: { name: found.name, data }, shown: mask ? "difference" : "reference", maskOn: true });
      }),
    openPhantom: () =>
      guarded(async () => {
        if (!(await mayDrop("Open without saving"))) return;
        const turn = ++opened;
        await readScan(async () => {
          // Each press makes another one.
          const { scan, truth } = await askHelper({ kind: "phantom", index: turn });
          if (turn !== opened) return;
          takeScan(scan);
          if (targetsOf(store.get()).labels.length === 3) {
            store.set({ reference: { name: "truth of the phantom", data: reorient(truth).data } });
          }
        });
      }),
    useBuiltIn: () => guarded(async () => setModels([await builtIn()])),
    useTrained: () =>
      guarded(async () => {
        const left = await leftModel();
        setModels([left ? { ...left, model: readModel(left.bytes, left.name) } : await builtIn()]);
      }),
    removeModel: (model) =>
      guarded(async () => {
        const rest = store.get().models.filter((one) => one !== model);
        setModels(rest.length > 0 ? rest : [await builtIn()]);
      }),
    async segment() {
      clearMessages();
      if (!(await mayDrop("Segment without saving"))) return;
      const { scan, models, engine } = store.get();
      if (!scan || models.length === 0) return;
      stop();
      const own = new Worker(new URL("../worker/segment-worker.ts", import.meta.url), { type: "module" });
      worker = own;
      const targets = models[0].model.plan;
      store.set({ run: { status: "running", done: 0, total: 0, start: performance.now() }, words: [] });
      own.onmessage = ({ data }: MessageEvent<FromSegmenter>) => {
        if (worker !== own) return;
        const { run } = store.get();
        if (data.type === "word") store.set({ words: [...store.get().words, data.sentence] });
        else if (data.type === "progress" && run.status === "running") {
          store.set({ run: { ...run, done: data.done, total: data.total } });
        } else if (data.type === "done") {
          stop();
          const { labels, ...result } = data.result;
          const canonical = reorient(labels);
          store.set({
            run: { status: "done", result },
            mask: createMask(canonical, spacingOf(canonical)),
            labels: targets.labels,
            version: store.get().version + 1,
            surfaces: new Map(),
            shown: "mask",
            maskOn: true,
          });
        } else if (data.type === "failed") {
          stop();
          store.set({ run: { status: "idle" } });
          showError(Object.assign(new Error(data.message), { name: data.name }));
        }
      };
      own.onerror = (event) => {
        if (worker !== own) return;
        stop();
        store.set({ run: { status: "idle" } });
        showError(new Error(event.message || "the computing thread ended, perhaps for want of memory"));
      };
      const { name, volumes } = scan.scan;
      const files = models.map((model) => ({ name: model.name, bytes: model.bytes }));
      own.postMessage({ volumes, name, models: files, engine } satisfies SegmentJob);
    },
    cancel() {
      stop();
      store.set({ run: { status: "cancelled" } });
    },
    toggleSurface: (value) =>
      guarded(async () => {
        const surfaces = new Map(store.get().surfaces);
        if (surfaces.delete(value)) store.set({ surfaces });
        else await showSurface(value);
      }),
    stroke(work) {
      const { scan, models } = store.get();
      if (!scan) return;
      let { mask, labels } = store.get();
      if (!mask) {
        const [{ shape, affine }] = scan.canonical;
        const empty = { data: new Uint8Array(shape[0] * shape[1] * shape[2]), shape, affine };
        mask = createMask(empty, scan.spacing);
        labels = models[0].model.plan.labels;
      }
      work(mask);
      touched({ mask, labels, maskOn: true });
    },
    undo() {
      if (store.get().mask?.undo()) touched();
    },
    redo() {
      if (store.get().mask?.redo()) touched();
    },
    maskOnFile() {
      const { scan, mask } = store.get();
      if (!scan || !mask) return fail("There is no mask to save; segment a scan or draw one first.");
      return restoreOrientation(mask.volume, scan.scan.volumes[0]);
    },
  };
  return actions;
}

/** Air lies at -1000 in CT, and nothing else that is scanned has whole numbers so far below 0. */
function looksLikeCt({ data }: Volume): boolean {
  let low = 0;
  for (const value of data) if (value < low) low = value;
  return low <= -500 && low >= -4096 && Number.isInteger(low);
}

/** What two models must share to vote together. */
const votes = ({ model: { plan } }: ModelFile): unknown => [
  plan.labels,
  plan.regions,
  plan.spacing,
  plan.channels.map(({ name }) => name),
];

/** The labels that the page works with: of the mask, else of the model. */
export function targetsOf({
  mask,
  labels,
  models,
}: State): NonNullable<Pick<ModelFile["model"]["plan"], "labels" | "regions">> {
  const plan = models[0]?.model.plan;
  return mask
    ? { labels: [...labels], regions: plan?.regions }
    : { labels: plan?.labels ?? [], regions: plan?.regions };
}

/** The frame in which the viewer draws: voxel sizes, and the first voxel at 0. */
function scaleOf([d, h, w]: readonly number[]): Float64Array {
  return Float64Array.of(w, 0, 0, 0, 0, h, 0, 0, 0, 0, d, 0, 0, 0, 0, 1);
}
