import { MULTIPLANAR_TYPE, Niivue, NVImage, NVMesh, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
import { writeNifti } from "../../src/volume/nifti.ts";
import type { SurfaceMesh } from "../../src/volume/surface-nets.ts";
import { spacingOf, type Vec3, type Volume } from "../../src/volume/volume.ts";
import type { Rgb } from "./colours.ts";
import { viewerFrame } from "./frame.ts";
import type { View } from "./state.ts";

/** Axis (0 D, 1 H, 2 W) across an axial, coronal and sagittal slice of a canonical volume. */
const across = [0, 1, 2];

/** A place on a slice. */
export interface Spot {
  voxel: Vec3;
  /** Axis across the slice. */
  axis: number;
}

export interface Viewer {
  /** Shows a scan in canonical orientation; what lay over the last one goes. */
  show(volume: Volume): Promise<void>;
  /** Lays a map of values over the scan, with 256 RGBA colours; null takes it away. */
  overlay(map: Uint8Array | null, lut: Uint8ClampedArray): void;
  /** From 0 to 1. */
  opacity(value: number): void;
  /** Values shown as black and as white; null chooses by the scan. */
  contrast(range: readonly [number, number] | null): void;
  /** Shows surfaces in the 3D view instead of the voxels; vertices as in {@link viewerFrame}. */
  surfaces(meshes: readonly { mesh: SurfaceMesh; colour: Rgb }[]): void;
  view(view: View): void;
  /** Whether the patient's left is drawn on the right, as seen from the feet (radiologists' convention). */
  fromFeet(on: boolean): void;
  /** Moves through the slices along the axis of the slice under the pointer, or of the one that is shown. */
  step(slices: number): void;
  /** The voxel in the cross. */
  place(): Vec3;
  /** The slice under a place of the page, if any. */
  spot(clientX: number, clientY: number): Spot | null;
}

/** Types that the viewer draws directly; the others become float32. */
const direct = [Uint8Array, Int16Array, Uint16Array, Float32Array];

async function imageOf(volume: Volume): Promise<NVImage> {
  const data = direct.some((type) => volume.data instanceof type) ? volume.data : Float32Array.from(volume.data);
  const bytes = await writeNifti({ data, shape: volume.shape, affine: viewerFrame(spacingOf(volume)) });
  const file = new File([bytes as Uint8Array<ArrayBuffer>], "scan.nii");
  return NVImage.loadFromFile({ file, name: "scan.nii", colormap: "gray", percentileFrac: 0.005 });
}

/** Starts the viewer on a canvas. `onMove` hears when the cross moves. */
export async function createViewer(canvas: HTMLCanvasElement, onMove: () => void): Promise<Viewer> {
  const nv = new Niivue({
    logLevel: "error",
    loadingText: "",
    dragAndDropEnabled: false,
    backColor: [0, 0, 0, 1],
    crosshairColor: [0.31, 0.76, 0.75, 0.8],
    crosshairWidthUnit: "percent",
    fontColor: [0.85, 0.89, 0.93, 1],
    multiplanarLayout: MULTIPLANAR_TYPE.GRID,
    isClipAllVolumes: true,
    multiplanarShowRender: SHOW_RENDER.ALWAYS,
    multiplanarPadPixels: 4,
    meshThicknessOn2D: 0,
    isNearestInterpolation: false,
    show3Dcrosshair: false,
    clipPlaneHotKey: "",
    cycleClipPlaneHotKey: "",
    viewModeHotKey: "",
  });
  await nv.attachToCanvas(canvas);
  let shape: Vec3 = [1, 1, 1];
  let active = 0;
  let pending = 0;
  nv.onLocationChange = onMove;

  const place = (): Vec3 => {
    const [x, y, z] = nv.scene.crosshairPos;
    return [z, y, x].map((f, a) => Math.min(shape[a] - 1, Math.max(0, Math.floor(f * shape[a])))) as Vec3;
  };
  const goTo = (voxel: Vec3): void => {
    const [d, h, w] = voxel.map((v, a) => (Math.min(shape[a] - 1, Math.max(0, v)) + 0.5) / shape[a]);
    for (const [i, f] of [w, h, d].entries()) nv.scene.crosshairPos[i] = f;
    nv.drawScene();
    nv.createOnLocationChange();
  };
  const spot = (clientX: number, clientY: number): Spot | null => {
    const box = canvas.getBoundingClientRect();
    const scale = nv.uiData.dpr ?? 1;
    const [x, y] = [(clientX - box.left) * scale, (clientY - box.top) * scale];
    const tile = nv.tileIndex(x, y);
    const axis = tile < 0 ? undefined : across[nv.screenSlices[tile].axCorSag];
    if (axis === undefined) return null;
    const [i, j, k] = nv.screenXY2TextureFrac(x, y, tile, false);
    if (!(i >= 0 && j >= 0 && k >= 0)) return null;
    const voxel = [k, j, i].map((f, a) => Math.floor(f * shape[a])) as Vec3;
    return voxel.every((v, a) => v >= 0 && v < shape[a]) ? { voxel, axis } : null;
  };
  canvas.addEventListener("pointermove", (event) => {
    active = spot(event.clientX, event.clientY)?.axis ?? active;
  });

  return {
    async show(volume) {
      shape = volume.shape;
      for (const mesh of [...nv.meshes]) nv.removeMesh(mesh);
      if (nv.drawBitmap) nv.closeDrawing();
      for (const old of [...nv.volumes]) nv.removeVolume(old);
      nv.addVolume(await imageOf(volume));
      nv.setClipPlane([2, 0, 0]);
      goTo(shape.map((n) => Math.floor(n / 2)) as Vec3);
    },
    overlay(map, lut) {
      // Between two scans there is nothing to lay it on.
      if (nv.volumes.length === 0) return;
      nv.drawLut = { ...nv.drawLut, lut };
      if (!map) {
        if (nv.drawBitmap) nv.closeDrawing();
        return;
      }
      if (!nv.drawBitmap) nv.createEmptyDrawing();
      nv.drawBitmap = map;
      nv.refreshColormaps();
      // Strokes come faster than pictures can be drawn.
      if (pending === 0) {
        pending = requestAnimationFrame(() => {
          pending = 0;
          if (nv.drawBitmap) nv.refreshDrawing(true);
        });
      }
    },
    contrast(range) {
      const [image] = nv.volumes;
      if (!image) return;
      const [low, high] = range ?? [image.robust_min ?? 0, image.robust_max ?? 1];
      image.cal_min = low;
      image.cal_max = high;
      nv.updateGLVolume();
    },
    opacity: (value) => nv.setDrawOpacity(value),
    surfaces(meshes) {
      for (const old of [...nv.meshes]) nv.removeMesh(old);
      for (const [index, { mesh, colour }] of meshes.entries()) {
        const { vertices, triangles } = mesh;
        const rgba = new Uint8Array([...colour, 255]);
        nv.addMesh(new NVMesh(vertices, triangles, `surface ${index}`, rgba, 1, true, nv.gl));
      }
      // The voxels would hide what lies among them.
      nv.setClipPlane(meshes.length > 0 ? [-2, 0, 0] : [2, 0, 0]);
    },
    view(view) {
      const types = {
        all: SLICE_TYPE.MULTIPLANAR,
        axial: SLICE_TYPE.AXIAL,
        coronal: SLICE_TYPE.CORONAL,
        sagittal: SLICE_TYPE.SAGITTAL,
        "3d": SLICE_TYPE.RENDER,
      };
      const one = ["axial", "coronal", "sagittal"].indexOf(view);
      if (one >= 0) active = across[one];
      nv.setSliceType(types[view]);
      // In percent of the scan, whose slice is twice as large where it is alone.
      nv.setCrosshairWidth(view === "all" ? 0.4 : 0.2);
    },
    fromFeet: (on) => nv.setRadiologicalConvention(on),
    step(slices) {
      const next = place();
      next[active] += slices;
      goTo(next);
    },
    place,
    spot,
  };
}
