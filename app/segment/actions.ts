import type { Targets } from "../../src/dataset/regions.ts";
import { readModel } from "../../src/model/file.ts";
import { fail } from "../../src/util/errors.ts";
import { reorient, restoreOrientation } from "../../src/volume/orientation.ts";
import { spacingOf, type Volume } from "../../src/volume/volume.ts";
import { askSure } from "../shared/ask.ts";
import { leftModel } from "../shared/handover.ts";
import { clearMessages, showError } from "../shared/messages.ts";
import { askHelper } from "../shared/open-files.ts";
import { isPicture, type NamedFile, type Scan } from "../shared/scan.ts";
import { upright } from "../shared/upright.ts";
import { referenceFor } from "./compare.ts";
import { createMask } from "./mask.ts";
import { createRunner } from "./runner.ts";
import { hasUnsaved, type ModelFile, type State, type Store } from "./state.ts";
import { createSurfaces } from "./surfaces.ts";

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
  /** Draws or erases; `work` calls the mask and tells whether voxels changed. An empty mask is made where there is none. */
  stroke(work: (mask: NonNullable<State["mask"]>) => boolean): void;
  undo(): void;
  redo(): void;
  /** The mask on the grid of the scan's file. */
  maskOnFile(): Volume<Uint8Array>;
}

export function createActions(store: Store): Actions {
  const runner = createRunner(store);
  const surfaces = createSurfaces(store);
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

  const takeScan = (scan: Scan): void => {
    runner.stop();
    const canonical = scan.volumes.map((volume) => reorient(upright(volume, isPicture(scan))));
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
  };

  /** Reads a scan; of two asked for, only the later one is taken. */
  const readScan = async <T>(read: (turn: number) => Promise<T>, take: (found: T) => void): Promise<void> => {
    const turn = ++opened;
    store.set({ opening: true });
    try {
      const found = await read(turn);
      if (turn === opened) take(found);
    } finally {
      if (turn === opened) store.set({ opening: false });
    }
  };

  const touched = (change: Partial<State> = {}): void => {
    store.set({ ...change, version: store.get().version + 1 });
    surfaces.refresh();
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
          const kept = fits ? own.filter(({ name }) => fresh.every((one) => one.name !== name)) : [];
          store.set({ models: [...kept, ...fresh] });
        }
        if (others.length === 0 || !(await mayDrop("Open without saving"))) return;
        await readScan(
          () => askHelper({ kind: "scan", files: others }),
          (scan) => scan && takeScan(scan),
        );
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
        const data = referenceFor(
          upright(found.volume, isPicture(scan.scan)),
          found.name,
          scan.canonical[0],
          targets.labels,
        );
        const { mask } = store.get();
        store.set({ reference: { name: found.name, data }, shown: mask ? "difference" : "reference", maskOn: true });
      }),
    openPhantom: () =>
      guarded(async () => {
        if (!(await mayDrop("Open without saving"))) return;
        await readScan(
          // Each press makes another one.
          (turn) => askHelper({ kind: "phantom", index: turn }),
          ({ scan, truth }) => {
            takeScan(scan);
            if (targetsOf(store.get()).labels.length === 3) {
              store.set({ reference: { name: "truth of the phantom", data: reorient(truth).data } });
            }
          },
        );
      }),
    useBuiltIn: () => guarded(async () => store.set({ models: [await builtIn()] })),
    useTrained: () =>
      guarded(async () => {
        try {
          const left = await leftModel();
          if (left) return store.set({ models: [{ ...left, model: readModel(left.bytes, left.name) }] });
        } catch (error) {
          // Storage may be forbidden, or hold what an older version left.
          showError(error);
        }
        store.set({ models: [await builtIn()] });
      }),
    removeModel: (model) =>
      guarded(async () => {
        const rest = store.get().models.filter((one) => one !== model);
        store.set({ models: rest.length > 0 ? rest : [await builtIn()] });
      }),
    async segment() {
      clearMessages();
      if (await mayDrop("Segment without saving")) runner.segment();
    },
    cancel: runner.cancel,
    toggleSurface: (value) => guarded(() => surfaces.toggle(value)),
    stroke(work) {
      const { scan, models } = store.get();
      let { mask, labels, source } = store.get();
      const isNew = mask === null;
      if (!scan || (isNew && models.length === 0)) return;
      if (!mask) {
        const [{ shape, affine }] = scan.canonical;
        const empty = { data: new Uint8Array(shape[0] * shape[1] * shape[2]), shape, affine };
        mask = createMask(empty, scan.spacing);
        ({ labels, dataset: source } = models[0].model.plan);
      }
      if (work(mask) || isNew) touched({ mask, labels, source, maskOn: true });
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
      const [first] = scan.scan.volumes;
      return { ...restoreOrientation(mask.volume, upright(first, isPicture(scan.scan))), affine: first.affine };
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
export function targetsOf({ mask, labels, models }: State): Targets {
  const plan = models[0]?.model.plan;
  return { labels: mask ? labels : (plan?.labels ?? []), regions: plan?.regions };
}

/** The label that the pen writes: the chosen one, else the first. A mask may have other labels than the models that are open. */
export function penOf(state: State): number {
  const values = targetsOf(state).labels.flatMap(({ value }) => (value === 0 ? [] : [value]));
  return values.includes(state.penLabel) ? state.penLabel : (values[0] ?? 1);
}
