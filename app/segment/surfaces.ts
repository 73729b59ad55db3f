import { showError } from "../shared/messages.ts";
import { askHelper } from "../shared/open-files.ts";
import { viewerFrame } from "./frame.ts";
import type { Store } from "./state.ts";

/** The labels' surfaces in the 3D view. */
export interface Surfaces {
  /** Shows the surface of a label, or hides it. */
  toggle(value: number): Promise<void>;
  /** Makes what is shown anew some time after the last of several changes of the mask; until then the old ones stand. */
  refresh(): void;
}

export function createSurfaces(store: Store): Surfaces {
  const make = async (value: number): Promise<void> => {
    const { mask, scan, version } = store.get();
    if (!mask || !scan) return;
    const { data, shape } = mask.volume;
    const affine = viewerFrame(scan.spacing);
    const mesh = await askHelper({ kind: "surface", data: data.slice(), shape, value, affine });
    if (store.get().mask !== mask || store.get().version !== version) return;
    const surfaces = new Map(store.get().surfaces).set(value, mesh);
    // Everything of the label may have been erased.
    if (mesh.triangles.length === 0) surfaces.delete(value);
    store.set({ surfaces });
  };
  let later: ReturnType<typeof setTimeout> | undefined;
  return {
    async toggle(value) {
      const surfaces = new Map(store.get().surfaces);
      if (surfaces.delete(value)) store.set({ surfaces });
      else await make(value);
    },
    refresh() {
      clearTimeout(later);
      later = setTimeout(async () => {
        for (const value of store.get().surfaces.keys()) await make(value).catch(showError);
      }, 300);
    },
  };
}
