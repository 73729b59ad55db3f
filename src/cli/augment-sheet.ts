import type { Patch } from "../dataset/sample.ts";
import { percentiles } from "../dataset/statistics.ts";
import { encodePng } from "../volume/png.ts";
import type { Vec3 } from "../volume/volume.ts";
import type { SheetRow } from "./augment-rows.ts";

export interface SheetLook {
  title: string;
  /** Lines under the title. */
  words: string[];
  /** Names of the classes that are outlined, background left out. */
  classes: string[];
  /** mm along D, H, W. */
  spacing: Vec3;
  /** The axis across which patches are cut through the middle (0 = D). */
  axis: number;
  /** Scans are shown with H or D upwards, pictures as they are stored. */
  upwards: boolean;
}

// Okabe and Ito's colours, told apart with any colour vision.
const colours: readonly (readonly [number, number, number])[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [213, 94, 0],
  [204, 121, 167],
  [0, 114, 178],
];
const colourOf = (value: number): readonly [number, number, number] => colours[(value - 1) % colours.length];

/** Pixels that the longer side of a patch has at least. */
const leastSide = 150;
const gap = 10;
const margin = 24;
const left = 240;
const captionHeight = 18;

/** A contact sheet as SVG: a row for each transform, its name and probability before its patches, each in grey with outlined labels. */
export async function augmentSheet(rows: readonly SheetRow[], look: SheetLook): Promise<string> {
  const { shape } = rows[0].cells[0].patch;
  const [down, right] = [0, 1, 2].filter((axis) => axis !== look.axis);
  const finest = Math.min(look.spacing[down], look.spacing[right]);
  const ratio = [look.spacing[down] / finest, look.spacing[right] / finest];
  const zoom = Math.max(1, Math.ceil(leastSide / Math.max(shape[down] * ratio[0], shape[right] * ratio[1])));
  const scale = ratio.map((r) => Math.max(1, Math.round(r * zoom)));
  const size = { height: shape[down] * scale[0], width: shape[right] * scale[1] };
  const grey = greyScale(rows[0]);
  const rowHeight = Math.max(size.height, 76) + captionHeight + gap;
  const columns = Math.max(...rows.map(({ cells }) => cells.length));
  const head = margin + 34 + 18 * (look.words.length + 1);
  const width = Math.max(760, 2 * margin + left + columns * (size.width + gap));
  const height = head + rows.length * rowHeight + margin;
  const parts: string[] = [];
  const text = (x: number, y: number, words: string, style = "", fill = "#1c1f24"): void => {
    parts.push(`<text x="${x}" y="${y}" fill="${fill}" ${style}>${escaped(words)}</text>`);
  };
  text(margin, margin + 18, look.title, 'font-size="20" font-weight="bold"');
  look.words.forEach((words, i) => {
    text(margin, margin + 42 + 18 * i, words);
  });
  look.classes.forEach((name, k) => {
    const x = margin + 150 * k;
    const y = margin + 42 + 18 * look.words.length;
    parts.push(`<rect x="${x}" y="${y - 10}" width="11" height="11" fill="rgb(${colourOf(k + 1).join(",")})"/>`);
    text(x + 17, y, name);
  });
  for (const [r, row] of rows.entries()) {
    const top = head + r * rowHeight;
    text(margin, top + 16, row.name, 'font-size="15" font-weight="bold"');
    row.words.forEach((words, i) => {
      text(margin, top + 36 + 17 * i, words, "", "#565c66");
    });
    for (const [c, { patch, caption }] of row.cells.entries()) {
      const x = margin + left + c * (size.width + gap);
      const data = cellPixels(patch, { ...look, down, right, scale, grey });
      const png = Buffer.from(await encodePng({ ...size, channels: 3, data })).toString("base64");
      parts.push(
        `<image x="${x}" y="${top}" width="${size.width}" height="${size.height}" href="data:image/png;base64,${png}"/>`,
      );
      text(x, top + size.height + 14, caption, 'font-size="12"', "#565c66");
    }
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="Lato, Helvetica, Arial, sans-serif" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>` +
    `${parts.join("\n")}</svg>\n`
  );
}

/** Grey of a value of the first channel: the same for all patches, so that brightness and contrast can be compared. */
function greyScale(plain: SheetRow): (value: number) => number {
  // Zero is what lies outside the scan, and would decide the range where windows hang far over its edge.
  const values = plain.cells.flatMap(({ patch }) => [...patch.image.subarray(0, patch.label.length)].filter(Boolean));
  const [low, high] = percentiles(values, [0.5, 99.5]);
  const factor = 255 / (high - low || 1);
  return (value) => Math.round(Math.min(255, Math.max(0, (value - low) * factor)));
}

interface CellLook extends Pick<SheetLook, "axis" | "upwards"> {
  down: number;
  right: number;
  scale: readonly number[];
  grey: (value: number) => number;
}

/** RGB pixels of a patch's middle slice, with a line along the inner side of each label's border. */
function cellPixels({ image, label, shape }: Patch, { axis, upwards, down, right, scale, grey }: CellLook): Uint8Array {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const [rows, columns] = [shape[down], shape[right]];
  const middle = (shape[axis] >> 1) * strides[axis];
  const at = (r: number, c: number): number => middle + r * strides[down] + c * strides[right];
  const labelAt = (r: number, c: number): number => (r < 0 || c < 0 || r >= rows || c >= columns ? 0 : label[at(r, c)]);
  const [tall, wide] = scale;
  const data = new Uint8Array(rows * tall * columns * wide * 3);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const own = labelAt(r, c);
      const level = grey(image[at(r, c)]);
      const edge = [labelAt(r - 1, c), labelAt(r + 1, c), labelAt(r, c - 1), labelAt(r, c + 1)].map(
        (other) => own > 0 && other !== own,
      );
      for (let y = 0; y < tall; y++) {
        for (let x = 0; x < wide; x++) {
          const hit =
            (edge[0] && y === 0) || (edge[1] && y === tall - 1) || (edge[2] && x === 0) || (edge[3] && x === wide - 1);
          const line = upwards ? rows * tall - 1 - (r * tall + y) : r * tall + y;
          data.set(hit ? colourOf(own) : [level, level, level], (line * columns * wide + c * wide + x) * 3);
        }
      }
    }
  }
  return data;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
