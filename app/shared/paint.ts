import type { Scene } from "../runs/scan-worker.ts";
import type { Plane } from "./plane.ts";

/** A label value, its name and the number of its colour. */
export interface SceneLabel {
  value: number;
  name: string;
  colour: number;
}

/** How masks are shown. */
export interface Look {
  fill: "prediction" | "difference";
  outline: boolean;
  visible: boolean;
  opacity: number;
}

type Colour = readonly [number, number, number];

/** Colours of labels over grey: Okabe and Ito's, told apart with any colour vision. */
const labelColours: readonly Colour[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [204, 121, 167],
  [240, 228, 66],
  [213, 94, 0],
  [0, 114, 178],
];
export const missedColour: Colour = [86, 180, 233];
export const extraColour: Colour = [235, 90, 60];
export const otherColour: Colour = [240, 228, 66];

export const cssColour = (index: number): string => `rgb(${labelColours[index % labelColours.length].join(" ")})`;

/** The mask's pixels: each voxel's label, or how truth and prediction differ. */
export function fillOf(
  truth: Uint8Array | null,
  prediction: Uint8Array,
  labels: readonly SceneLabel[],
  look: Pick<Look, "fill" | "opacity">,
): Uint32Array {
  const alpha = Math.round(255 * look.opacity);
  const pixels = new Uint32Array(prediction.length);
  if (look.fill === "difference" && truth) {
    const [missed, extra, other] = [missedColour, extraColour, otherColour].map((colour) => pixelOf(colour, alpha));
    for (let i = 0; i < pixels.length; i++) {
      if (prediction[i] !== truth[i]) pixels[i] = prediction[i] === 0 ? missed : truth[i] === 0 ? extra : other;
    }
    return pixels;
  }
  const colours = new Uint32Array(256).fill(pixelOf(labelColours[0], alpha));
  colours[0] = 0;
  for (const { value, colour } of labels) colours[value] = pixelOf(labelColours[colour % labelColours.length], alpha);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours[prediction[i]];
  return pixels;
}

/** Where a plane lies on its canvas, in the canvas's own pixels. */
export interface Place {
  columns: number;
  rows: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

export function placeOf(canvas: HTMLCanvasElement, { shape, spacing }: Scene, plane: Plane): Place {
  const [columns, rows] = [shape[plane.across], shape[plane.up]];
  const [mmAcross, mmUp] = [columns * spacing[plane.across], rows * spacing[plane.up]];
  const scale = Math.min(canvas.width / mmAcross, canvas.height / mmUp);
  const [width, height] = [mmAcross * scale, mmUp * scale];
  return { columns, rows, width, height, x: (canvas.width - width) / 2, y: (canvas.height - height) / 2 };
}

/** As many pixels as the canvas has on the screen. */
export function matchScreen(canvas: HTMLCanvasElement): void {
  const { clientWidth, clientHeight } = canvas;
  const [width, height] = [clientWidth, clientHeight].map((n) => Math.max(1, Math.round(n * devicePixelRatio)));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

/** Red, green, blue and alpha as they lie in memory (little endian, as every machine of browsers is). */
const pixelOf = ([red, green, blue]: Colour, alpha: number): number =>
  ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

export function layer(pixels: Uint32Array, columns: number, rows: number): OffscreenCanvas {
  const canvas = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  image.data.set(new Uint8Array(pixels.buffer));
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}
