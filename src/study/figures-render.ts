import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { TopLevelSpec } from "vega-lite";
import { inkColours, pageColours } from "./figures-theme.ts";

/** A figure as data for vega-lite. */
export interface Figure {
  /** Stands in file names. */
  name: string;
  title: string;
  /** What is to be seen and how it was made, for the page and for a paper. */
  caption: string;
  spec: TopLevelSpec;
}

export interface Drawing {
  figure: Figure;
  svg: string;
  /** Null without the packages that PNG needs. */
  png: Uint8Array | null;
}

export interface Drawings {
  drawings: Drawing[];
  /** What to install where something could not be drawn; null where all was. */
  missing: string | null;
}

type Load = (name: string) => Promise<unknown>;

/** Pixels of a PNG per unit of its SVG: 2 gives about 190 dots an inch at 12.5 cm width. */
const pngScale = 2.5;
const fonts = ["400Regular/Lato_400Regular.ttf", "700Bold/Lato_700Bold.ttf"];

const load: Load = (name) => {
  if (name === "vega") return import("vega");
  return name === "vega-lite" ? import("vega-lite") : import("@resvg/resvg-js");
};

/**
 * Draws figures as SVG (vega, vega-lite) and PNG (@resvg/resvg-js with the font Lato). These packages are optional: without
 * the first two there are no drawings, without the others no PNG, and `missing` says what to install.
 */
export async function drawFigures(figures: readonly Figure[], options: { load?: Load } = {}): Promise<Drawings> {
  const get = options.load ?? load;
  const vega = await tryLoad<typeof import("vega")>(get, "vega");
  const lite = await tryLoad<typeof import("vega-lite")>(get, "vega-lite");
  if (!vega || !lite) return { drawings: [], missing: advice("figures", ["vega", "vega-lite"]) };
  // Without a canvas vega guesses 0.8 em a letter; Lato has about 0.52, so that axes and legends would stand too far apart.
  const { textMetrics } = vega as unknown as { textMetrics: { width: (item: TextItem, text: unknown) => number } };
  textMetrics.width = (item, text) => 0.53 * (item.fontSize ?? 11) * String(text ?? item.text ?? "").length;

  const toPng = await createPngMaker(get);
  const drawings: Drawing[] = [];
  for (const figure of figures) {
    const view = new vega.View(vega.parse(lite.compile(figure.spec).spec), { renderer: "none" });
    const svg = ownIds(await view.toSVG(), figure.name);
    view.finalize();
    const png = toPng ? toPng(svg, pngScale) : null;
    drawings.push({ figure, svg, png });
  }
  const missing = drawings.some(({ png }) => png === null) ? advice("PNG files of the figures", pngPackages) : null;
  return { drawings, missing };
}

/** The optional packages that PNG needs. */
export const pngPackages = ["@resvg/resvg-js", "@expo-google-fonts/lato"];

/** Draws SVG as PNG, `scale` pixels a unit, with the font Lato; null where {@link pngPackages} are missing. */
export async function createPngMaker(get: Load = load): Promise<((svg: string, scale: number) => Uint8Array) | null> {
  const resvg = await tryLoad<typeof import("@resvg/resvg-js")>(get, "@resvg/resvg-js");
  const fontFiles = fontPaths();
  if (!resvg || !fontFiles) return null;
  const font = { fontFiles, loadSystemFonts: false, defaultFontFamily: "Lato" };
  return (svg, scale) => new resvg.Resvg(svg, { fitTo: { mode: "zoom", value: scale }, font }).render().asPng();
}

interface TextItem {
  fontSize?: number;
  text?: unknown;
}

async function tryLoad<T>(get: Load, name: string): Promise<T | null> {
  try {
    return (await get(name)) as T;
  } catch (error) {
    // A missing optional package is no fault, and neither is one without a binary for this machine.
    if (error instanceof Error && /cannot find|native binding/i.test(error.message)) return null;
    throw error;
  }
}

/** Files of the font, so that PNGs look the same everywhere, also where the machine has no fonts. */
function fontPaths(): string[] | null {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve("@expo-google-fonts/lato/package.json"));
    return fonts.map((file) => join(folder, file));
  } catch {
    return null;
  }
}

function advice(what: string, packages: string[]): string {
  return `The report has no ${what}, because optional packages are missing; install them with "npm install ${packages.join(" ")}" and write the report again.`;
}

/** Ids made distinct, so that several figures can stand in one page, and without vega's counter, which goes on from figure to figure. */
function ownIds(svg: string, name: string): string {
  const ids = [...new Set([...svg.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]))];
  const own = (id: string): string => `${name}-${ids.indexOf(id)}`;
  return svg
    .replace(/\bid="([^"]+)"/g, (_, id: string) => `id="${own(id)}"`)
    .replace(/url\(#([^)]+)\)/g, (_, id: string) => `url(#${own(id)})`);
}

/** A figure for the page: it takes the page's colours, light or dark, and its width. */
export function forPage({ svg, figure }: Drawing): string {
  const colours = new Map<string, string>([...Object.entries(inkColours), ...Object.entries(pageColours)]);
  return svg
    .replace(/"(#[0-9a-f]{6})"/g, (whole, colour: string) =>
      colours.has(colour) ? `"var(--${colours.get(colour)}, ${colour})"` : whole,
    )
    .replace(/^<svg/, `<svg role="img" aria-label="${figure.title.replaceAll('"', "&quot;")}"`);
}
