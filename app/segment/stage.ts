import { worldOf } from "../../src/volume/affine.ts";
import { el, icon } from "../shared/dom.ts";
import { showError } from "../shared/messages.ts";
import { isPicture } from "../shared/scan.ts";
import { type Actions, penOf, targetsOf } from "./actions.ts";
import { differenceLut, labelColour, labelLut } from "./colours.ts";
import { differenceMap } from "./compare.ts";
import { openButtons } from "./scan-card.ts";
import { type State, type Store, windows } from "./state.ts";
import type { Spot, Viewer } from "./viewer.ts";

const dropIcon = "M12 4v11M12 15l-4-4M12 15l4-4M4 18v2h16v-2";

/** The pictures: the viewer, loaded with the first scan, and what is drawn on it. */
export function stage(store: Store, actions: Actions): { element: HTMLElement; step(slices: number): void } {
  const canvas = el("canvas", { aria: { label: "Slices and 3D view of the scan" } });
  const empty = el(
    "div",
    { className: "invite" },
    icon(dropIcon),
    el("h1", {}, "Drop a scan here"),
    el("p", { className: "soft" }, "NIfTI, NRRD, MetaImage, Analyze, PNG or DICOM. It stays on this machine."),
    openButtons(actions),
  );
  const element = el("div", { className: "stage" }, el("div", { className: "frame" }, canvas), empty);
  const line = el("p", { className: "place small number" });
  let viewer: Viewer | null = null;
  let loading: Promise<Viewer> | null = null;

  const load = (): Promise<Viewer> => {
    loading ??= import("./viewer.ts").then(({ createViewer }) => createViewer(canvas, () => describe(store.get())));
    return loading;
  };
  const describe = (state: State): void => {
    const { scan, mask } = state;
    if (!scan || !viewer) return;
    const volume = scan.canonical[state.channel];
    const [d, h, w] = viewer.place();
    const at = (d * volume.shape[1] + h) * volume.shape[2] + w;
    const world = worldOf(volume.affine, w, h, d).map((mm) => mm.toFixed(1));
    const label = mask
      ? state.labels.find(({ value }) => value !== 0 && value === mask.volume.data[at])?.name
      : undefined;
    const value = Number(volume.data[at].toPrecision(5));
    line.textContent = `R ${world[0]}  A ${world[1]}  S ${world[2]} mm   voxel ${w} ${h} ${d}   value ${value}${label ? `   ${label}` : ""}`;
  };
  const paint = (state: State): void => {
    if (!viewer) return;
    const { mask, reference, shown, maskOn, hidden } = state;
    if (maskOn && shown === "difference" && mask && reference) {
      viewer.overlay(differenceMap(mask.volume.data, reference.data), differenceLut());
      return;
    }
    const map = shown === "reference" && reference ? reference.data : (mask?.volume.data ?? null);
    viewer.overlay(maskOn ? map : null, labelLut(targetsOf(state).labels, hidden));
  };
  const surfaces = (state: State): void => {
    const places = state.labels.filter(({ value }) => value !== 0).map(({ value }) => value);
    const meshes = [...state.surfaces].map(([value, mesh]) => ({ mesh, colour: labelColour(places.indexOf(value)) }));
    viewer?.surfaces(meshes);
  };

  let showing = Promise.resolve();
  const show = async (state: State): Promise<void> => {
    const { scan, channel } = state;
    if (!scan) return;
    viewer = await load();
    if (store.get().scan !== scan || store.get().channel !== channel) return;
    await viewer.show(scan.canonical[channel]);
    viewer.view(store.get().view);
    viewer.fromFeet(store.get().fromFeet && !isPicture(scan.scan));
    viewer.opacity(store.get().opacity);
    viewer.contrast(windows[store.get().window].range);
    paint(store.get());
    surfaces(store.get());
    describe(store.get());
    element.dataset.shown = scan.scan.name;
  };
  store.watch((state, before) => {
    empty.hidden = state.scan !== null;
    element.classList.toggle("drawing", state.tool !== "move");
    if (state.scan !== before.scan || state.channel !== before.channel) {
      showing = showing.then(() => show(state)).catch(showError);
      return;
    }
    if (!viewer) return;
    if (state.view !== before.view) viewer.view(state.view);
    if (state.fromFeet !== before.fromFeet && state.scan)
      viewer.fromFeet(state.fromFeet && !isPicture(state.scan.scan));
    if (state.window !== before.window) viewer.contrast(windows[state.window].range);
    if (state.opacity !== before.opacity) viewer.opacity(state.opacity);
    const keys = ["mask", "version", "reference", "shown", "maskOn", "hidden"] as const;
    if (keys.some((key) => state[key] !== before[key])) {
      paint(state);
      describe(state);
    }
    if (state.surfaces !== before.surfaces) surfaces(state);
  });
  listenForStrokes(canvas, store, actions, (event) => viewer?.spot(event.clientX, event.clientY) ?? null);
  const box = el("div", { className: "viewer" }, element, line);
  store.watch(({ scan }) => {
    line.hidden = !scan;
  });
  return { element: box, step: (slices) => viewer?.step(slices) };
}

/** Drawing and erasing with mouse, pen or finger; the viewer sees nothing of it. */
function listenForStrokes(
  canvas: HTMLCanvasElement,
  store: Store,
  actions: Actions,
  spotOf: (event: PointerEvent) => Spot | null,
): void {
  let last: Spot | null = null;
  const frame = canvas.parentElement!;
  const drawing = (): boolean => store.get().tool !== "move" && store.get().scan !== null && !store.get().opening;
  const dab = (spot: Spot): void => {
    const { penSize } = store.get();
    actions.stroke((mask) => {
      const from = last?.axis === spot.axis ? last.voxel : spot.voxel;
      const steps = Math.max(1, ...spot.voxel.map((v, a) => Math.abs(v - from[a])));
      let changed = false;
      for (let i = 0; i <= steps; i++) {
        const at = spot.voxel.map((v, a) => Math.round(from[a] + ((v - from[a]) * i) / steps)) as Spot["voxel"];
        if (mask.disc(at, spot.axis, penSize / 2)) changed = true;
      }
      return changed;
    });
    last = spot;
  };
  frame.addEventListener(
    "pointerdown",
    (event) => {
      const spot = event.button === 0 && drawing() ? spotOf(event) : null;
      if (!spot) return;
      event.stopPropagation();
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      const state = store.get();
      actions.stroke((mask) => {
        mask.begin(state.tool === "draw" ? penOf(state) : 0);
        return false;
      });
      last = null;
      dab(spot);
    },
    true,
  );
  frame.addEventListener("pointermove", (event) => {
    if (!last) return;
    const spot = spotOf(event);
    if (spot && spot.axis === last.axis) dab(spot);
  });
  const finish = (): void => {
    if (!last) return;
    last = null;
    actions.stroke((mask) => mask.end());
  };
  frame.addEventListener("pointerup", finish);
  frame.addEventListener("pointercancel", finish);
  for (const type of ["mousedown", "mousemove", "mouseup", "touchstart", "touchmove", "touchend"] as const) {
    frame.addEventListener(
      type,
      (event) => {
        const right = event instanceof MouseEvent && event.button === 2;
        if (drawing() && !right) event.stopPropagation();
      },
      true,
    );
  }
}
