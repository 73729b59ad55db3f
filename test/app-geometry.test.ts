import { writeFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { identityAffine } from "../src/volume/affine.ts";
import { writeVolume } from "../src/volume/files.ts";
import { readNifti } from "../src/volume/nifti.ts";
import { reorient } from "../src/volume/orientation.ts";
import { decodePngChannels, encodePng } from "../src/volume/png.ts";
import type { Vec3, Volume } from "../src/volume/volume.ts";
import { chooseFiles, describeInBrowser, download } from "./app/harness.ts";
import { inFolder, open } from "./app/segmenting.ts";

/** Middle of the pixels of the pictures that match, as shares of their width and height from the left and from the top. */
async function middleOf(page: Page, matches: (r: number, g: number, b: number) => boolean): Promise<[number, number]> {
  const [r, g, b] = await decodePngChannels(new Uint8Array(await page.locator("canvas").screenshot()), "screenshot");
  let [count, across, down] = [0, 0, 0];
  for (let i = 0; i < r.data.length; i++) {
    if (!matches(r.data[i], g.data[i], b.data[i])) continue;
    count++;
    across += i % r.width;
    down += Math.floor(i / r.width);
  }
  expect(count).toBeGreaterThan(100);
  return [across / count / r.width, down / count / r.height];
}
const isBright = (r: number, g: number, b: number): boolean => r > 180 && Math.max(r, g, b) - Math.min(r, g, b) < 30;
const isColoured = (r: number, _: number, b: number): boolean => r > 150 && r - b > 80;

describeInBrowser("left and right, front and back, top and bottom", () => {
  // A block to the right (W), in front (H) and above (D), with voxels of 4 x 2 x 3 mm.
  const shape: Vec3 = [12, 24, 16];
  const affine = Float64Array.of(3, 0, 0, -20, 0, 2, 0, 10, 0, 0, 4, 5, 0, 0, 0, 1);
  const isBlock = (d: number, h: number, w: number): boolean => d > 7 && d < 11 && h > 14 && h < 21 && w > 9 && w < 15;
  const block = new Uint8Array(shape[0] * shape[1] * shape[2]);
  for (let i = 0; i < block.length; i++) {
    block[i] = Number(isBlock(Math.floor(i / 384), Math.floor(i / 16) % 24, i % 16));
  }
  const turned = (data: Volume["data"]): Volume => reorient({ data, shape, affine }, "PSR");

  test("stand where they should in a scan on odd axes, with the mask over it and the pen under the pointer", async () => {
    const [scan, map] = [inFolder("block.nii.gz"), inFolder("block-map.nii.gz")];
    await writeVolume(scan, turned(block.map((one) => 20 + 200 * one)));
    await writeVolume(map, turned(block));
    const { page, errors, close } = await open({}, [scan]);
    await page.locator("[data-shown]").waitFor();
    for (let i = 0; i < 4; i++) await page.keyboard.press("]");
    const views = ["Axial", "Coronal", "Sagittal"];
    const places: [number, number][] = [];
    for (const view of views) {
      await page.getByRole("button", { name: view }).click();
      // The cross starts in the middle: three slices on, the block is cut.
      for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowUp");
      const place = await middleOf(page, isBright);
      // The patient's right is on the side of the R, the front is up in axial slices and to the right in sagittal ones.
      expect(place[0], view).toBeGreaterThan(0.5);
      expect(place[1], view).toBeLessThan(0.5);
      places.push(place);
    }
    // Seen from the feet, left and right change places in axial and coronal slices alone, and so it stays for the next visit.
    await page.keyboard.press("x");
    for (const [i, view] of views.entries()) {
      await page.getByRole("button", { name: view }).click();
      const [x, y] = await middleOf(page, isBright);
      expect(Math.abs(x - (view === "Sagittal" ? places[i][0] : 1 - places[i][0])), view).toBeLessThan(0.01);
      expect(Math.abs(y - places[i][1]), view).toBeLessThan(0.01);
      if (view !== "Sagittal") places[i] = [x, y];
    }
    expect(await page.evaluate(() => localStorage.getItem("lunet-sides"))).toBe("feet");
    await chooseFiles(page, "Compare with ...", map);
    await page.getByText("Reference: block-map").waitFor();
    const box = (await page.locator("canvas").boundingBox())!;
    for (const [i, view] of views.entries()) {
      await page.getByRole("button", { name: view }).click();
      const [x, y] = await middleOf(page, isColoured);
      // A pixel or two: edges are smooth in the scan and sharp in the mask.
      expect(Math.abs(x - places[i][0]), view).toBeLessThan(0.01);
      expect(Math.abs(y - places[i][1]), view).toBeLessThan(0.01);
      await page.keyboard.press("d");
      await page.mouse.click(box.x + x * box.width, box.y + y * box.height);
      await page.keyboard.press("m");
    }
    const saved = (await readNifti((await download(page, "Save NIfTI")).bytes, "saved")).volumes[0];
    const truth = turned(block);
    expect([saved.shape, saved.affine]).toEqual([truth.shape, truth.affine]);
    const drawn = [...saved.data.keys()].filter((i) => saved.data[i] === 1);
    expect(drawn.length).toBeGreaterThan(5);
    expect(drawn.filter((i) => truth.data[i] !== 1)).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  test("a picture stands upright, and its mask is saved row by row as it is", async () => {
    const data = new Uint8Array(30 * 20);
    for (let i = 0; i < data.length; i++) if (i % 30 > 18 && i % 30 < 26 && i < 9 * 30) data[i] = 220;
    const picture = inFolder("picture.png");
    writeFileSync(picture, await encodePng({ width: 30, height: 20, channels: 1, data }));
    const { page, errors, close } = await open({}, [picture]);
    await page.locator("[data-shown]").waitFor();
    await page.getByText("1 mm is taken").waitFor();
    const [x, y] = await middleOf(page, isBright);
    expect(x).toBeGreaterThan(0.5);
    expect(y).toBeLessThan(0.5);
    await page.keyboard.press("d");
    const box = (await page.locator("canvas").boundingBox())!;
    await page.mouse.click(box.x + x * box.width, box.y + y * box.height);
    const saved = (await readNifti((await download(page, "Save NIfTI")).bytes, "saved")).volumes[0];
    expect([saved.shape, saved.affine]).toEqual([[1, 20, 30], identityAffine()]);
    const drawn = [...saved.data.keys()].filter((i) => saved.data[i] === 1);
    expect(drawn.length).toBeGreaterThan(10);
    expect(drawn.filter((i) => data[i] === 0)).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });
});
