import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "playwright-core";
import { afterAll, expect } from "vitest";
import { makePhantom } from "../../src/dataset/phantom.ts";
import { readVolume } from "../../src/volume/files.ts";
import { readNifti } from "../../src/volume/nifti.ts";
import { reorient } from "../../src/volume/orientation.ts";
import type { Volume } from "../../src/volume/volume.ts";
import { download, dropFiles, type OpenOptions, type OpenPage, openPage } from "./harness.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const phantomModel = join(root, "app/public/phantom.safetensors");
const folder = mkdtempSync(join(tmpdir(), "lunet-app-data-"));
afterAll(() => rmSync(folder, { recursive: true }));
/** A path in a folder that goes with the test file. */
export const inFolder = (name: string): string => join(folder, name);

/** A scan of the built-in model's kind, on a turned grid. */
export function turnedPhantom(): Volume {
  return reorient(makePhantom(3, 0, { shape: [20, 40, 24] }).image, "PIL");
}

/** What `lunet predict` makes of a scan. */
export async function predicted(scan: string, model: string): Promise<Volume> {
  const out = inFolder(`out-${Math.random()}`);
  const done = spawnSync(process.execPath, [
    join(root, "bin/lunet.mjs"),
    "predict",
    scan,
    "--model",
    model,
    "--out",
    out,
  ]);
  expect(done.status, String(done.stderr)).toBe(0);
  return readVolume(join(out, scan.slice(scan.lastIndexOf("/") + 1)));
}

/** A small window: what a graphics card draws at once takes a processor a while. */
export const small = { viewport: { width: 1000, height: 560 } };

/** Only to end what hangs. */
export const patient = { timeout: 100_000 };

export const row = (page: Page, label: string): Locator => page.locator(`tr[data-label="${label}"]`);
export const status = (page: Page): Locator => page.getByRole("region", { name: "Segmentation" });

/** The page with the built-in model and files that are dropped. */
export async function open(options: OpenOptions, files: string[]): Promise<OpenPage> {
  const opened = await openPage({ ...small, ...options });
  await opened.page.getByText("built in").waitFor();
  await dropFiles(opened.page, "body", files);
  return opened;
}

/** Segments what is open, in the axial view, and gives the mask that the page saves and the line on engine, time and memory. */
export async function segment(page: Page, engine = "auto"): Promise<{ mask: Volume; line: string; words: string }> {
  await page.locator("[data-shown]").waitFor();
  // The 3D view is slow without a graphics card.
  await page.getByRole("button", { name: "Axial" }).click();
  await page.getByLabel("Engine").selectOption(engine);
  await page.getByRole("button", { name: "Segment", exact: true }).click();
  const said = () => status(page).locator("p").allTextContents();
  await expect.poll(said, patient).toEqual([expect.stringMatching(/^(wasm|WebGPU)/), expect.anything()]);
  const [line, words] = await said();
  const { bytes } = await download(page, "Save NIfTI");
  return { mask: (await readNifti(bytes, "saved")).volumes[0], line, words };
}
