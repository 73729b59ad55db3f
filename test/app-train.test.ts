import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePhantom } from "../src/dataset/phantom.ts";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { createBackend } from "../src/engine/backend.ts";
import { countClasses, diceOf } from "../src/evaluate/overlap.ts";
import { readModel } from "../src/model/file.ts";
import { loadModel } from "../src/model/files.ts";
import { segment } from "../src/predict/segment.ts";
import { readLog } from "../src/train/file-store.ts";
import { type EpochRecord, parseLog } from "../src/train/log.ts";
import { runPaths } from "../src/train/run-folder.ts";
import { trainNet } from "../src/train/train.ts";
import { writeVolume } from "../src/volume/files.ts";
import {
  chooseFiles,
  describeInBrowser,
  download,
  dropFiles,
  looks,
  type OpenOptions,
  openPage,
  webgpuFlags,
} from "./app/harness.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-app-train-"));
afterAll(() => rmSync(folder, { recursive: true }));
const inFolder = (...names: string[]): string => join(folder, ...names);
const small = inFolder("Small");

/** For half a minute of work on two free processors, which busy ones may take ten times as long for (ms). */
const busy = 600_000;

async function open(options: OpenOptions = {}) {
  const opened = await openPage({ page: "train.html", ...options });
  // Training takes a while on a busy machine.
  opened.page.setDefaultTimeout(100_000);
  return opened;
}
const cases = (page: Page) => page.getByRole("region", { name: "Cases" });
const run = (page: Page) => page.getByRole("region", { name: "Run" });
const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();
const message = (page: Page) => page.getByRole("alert").and(page.locator(".message")).last();

/** Chooses a net, a number of steps and a seed. */
async function choose(page: Page, { net, steps, seed = 0 }: { net: string; steps: number; seed?: number }) {
  await page.getByLabel("Net", { exact: true }).selectOption("Other");
  await page.getByLabel("Name of the net").fill(net);
  await page.getByLabel("Unit of the budget").selectOption("steps");
  await page.getByLabel("Budget", { exact: true }).fill(String(steps));
  await page.getByText("Advanced").click();
  await page.getByLabel("Seed", { exact: true }).fill(String(seed));
  await page.getByLabel("Seed", { exact: true }).blur();
}

async function openSmall(page: Page): Promise<void> {
  await chooseFiles(page, "Open folder", small);
  await cases(page).getByText("6 cases").waitFor();
}

describeInBrowser("training in the page", () => {
  beforeAll(() => writePhantomDataset(small, { cases: 6, test: 0, shape: [24, 24, 24] }));

  test("a folder, a net, a seed and steps give the command line's weights, bit for bit, and its plan and log", async () => {
    const { page, errors, requests, url, close } = await open();
    await openSmall(page);
    await choose(page, { net: "lean:3", steps: 20, seed: 5 });
    await press(page, "Train");
    await run(page)
      .getByText(/^Done: weights after 20 steps/)
      .first()
      .waitFor();
    const saved = await download(page, "Save model");
    const log = await download(page, "Save log");
    expect(errors).toEqual([]);
    expect(requests.filter((address) => !address.startsWith(url) && !address.startsWith("blob:"))).toEqual([]);
    await close();

    const out = inFolder("run");
    await trainNet({
      ...{ data: small, out, net: "lean:3", budget: { steps: 20 }, settings: { seed: 5, augment: "full" }, threads: 1 },
      // The register tile of Chromium, whose WebAssembly has vectors of 128 bits.
      tiles: "fma-128",
    });
    const paths = runPaths(out);
    const [page0, line] = [readModel(saved.bytes, saved.name), await loadModel(paths.best)];
    expect(saved.name).toBe("model.safetensors");
    expect(page0.tensors).toEqual(line.tensors);
    expect(page0.plan).toEqual(line.plan);
    expect({ ...page0.provenance, created: 0 }).toEqual({ ...line.provenance, created: 0 });
    const numbers = ({ seconds, validationSeconds, waitingShare, ...rest }: EpochRecord) => rest;
    const lines = parseLog(new TextDecoder().decode(log.bytes));
    expect(lines.map(numbers)).toEqual((await readLog(paths.log)).map(numbers));
  });

  test(
    "20 phantom cases: validation Dice rises above 0.8, and the model segments an unseen one",
    async () => {
      const { page, context, errors, close } = await open();
      await page.getByRole("button", { name: "20 phantom cases" }).first().click();
      await cases(page).getByText("20 cases").waitFor();
      await choose(page, { net: "lean:16", steps: 800 });
      await press(page, "Train");
      const chart = page.getByRole("img", { name: /^Validation Dice: anterior/ });
      const mean = async (): Promise<number> => {
        const [front, back] = (await chart.getAttribute("aria-label", { timeout: busy }))!
          .match(/[\d.]+/g)!
          .map(Number);
        return (front + back) / 2;
      };
      // The rest of the run would only take time.
      await expect.poll(mean, { timeout: busy, interval: 200 }).toBeGreaterThan(0.85);
      await press(page, "Stop");
      await run(page)
        .getByText(/^Stopped: weights/)
        .first()
        .waitFor();
      const { bytes } = await download(page, "Save model");
      const model = readModel(bytes, "model.safetensors");
      const [front, back] = model.provenance.validationDice!;
      expect((front + back) / 2).toBeGreaterThan(0.85);

      const { image, label } = makePhantom(99, 0);
      const backend = await createBackend();
      const { labels } = await segment(model, [image], { backend });
      await backend.close();
      for (const counts of countClasses(labels.data, label.data, 3).slice(1))
        expect(diceOf(counts)).toBeGreaterThan(0.7);

      const [other] = await Promise.all([context.waitForEvent("page"), press(page, "Try it on the segment page")]);
      await other.getByText("lean:16 on Phantom").first().waitFor();
      expect(errors).toEqual([]);
      await close();
    },
    busy,
  );

  test("stopping keeps the best model so far, discarding keeps nothing, and the page asks before it is left", async () => {
    const { page, errors, close } = await open({ viewport: { width: 820, height: 1180 } });
    await openSmall(page);
    await choose(page, { net: "lean:2", steps: 5000 });
    await press(page, "Train");
    await page.locator(".overlay[data-step]:not([data-step='0'])").waitFor();
    await press(page, "Stop");
    const status = run(page)
      .getByText(/^Stopped: weights after \d+ steps/)
      .first();
    const steps = Number(/after (\d+)/.exec((await status.textContent())!)![1]);
    const model = readModel((await download(page, "Save model")).bytes, "saved");
    expect(model.provenance).toMatchObject({ steps, validationDice: [expect.any(Number), expect.any(Number)] });

    expect(await looks(page)).toEqual({ nameless: [], over: 0 });

    await press(page, "Train again");
    await run(page)
      .getByText(/^Step \d+ of 5000/)
      .waitFor();
    const [dialog] = await Promise.all([page.waitForEvent("dialog"), page.close({ runBeforeUnload: true })]);
    expect(dialog.type()).toBe("beforeunload");
    await dialog.dismiss();
    await press(page, "Discard");
    await cases(page).getByText("6 cases").waitFor();
    expect(await page.getByRole("button", { name: "Save model" }).isVisible()).toBe(false);
    await page.getByRole("button", { name: "Train", exact: true }).and(page.locator(":enabled")).waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  test("where WebGPU does not start wasm trains, and the page says so", async (context) => {
    const refusing = `GPUAdapter.prototype.requestDevice = async () => { throw new Error("no device today"); };\n`;
    const edit: OpenOptions["edit"] = (path, content) => (path.includes("train-worker") ? refusing + content : content);
    const { page, close } = await open({ flags: webgpuFlags, edit });
    const hasAdapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
    if (!hasAdapter) return context.skip("this Chromium has no WebGPU in software");
    await openSmall(page);
    await choose(page, { net: "lean:2", steps: 3 });
    await page.getByLabel("Engine", { exact: true }).selectOption("webgpu");
    await press(page, "Train");
    await run(page)
      .getByText(/^Done: weights after 3 steps/)
      .first()
      .waitFor();
    await run(page).getByText("no device today").waitFor();
    await run(page)
      .getByText(/^wasm, \d+ threads?/)
      .waitFor();
    await close();
  });

  test("bad input is told in words, and the page stays alive", async () => {
    const scan = makePhantom(1, 0, { shape: [24, 24, 24] });
    const write = (name: string, volume: typeof scan.image | typeof scan.label) => writeVolume(inFolder(name), volume);
    await write("a.nii.gz", scan.image);
    await write("a_seg.nii.gz", scan.label);
    await write("b.nii.gz", scan.image);
    await write("b_seg.nii.gz", makePhantom(1, 1, { shape: [20, 24, 24] }).label);
    await write("c.nii.gz", scan.image);
    writeFileSync(inFolder("notes.txt"), "not a scan");
    writeFileSync(inFolder("d.nii.gz"), "not a scan");
    writeFileSync(inFolder("d_seg.nii.gz"), "not a scan");
    cpSync(small, inFolder("Two", "A"), { recursive: true });
    cpSync(small, inFolder("Two", "B"), { recursive: true });
    const { page, errors, close } = await open();
    const drop = (...names: string[]) =>
      dropFiles(
        page,
        "body",
        names.map((name) => inFolder(name)),
      );

    await drop("notes.txt");
    await message(page).getByText("No labelled case was found, as notes.txt is no scan").waitFor();
    await chooseFiles(page, "Open folder", inFolder("Two"));
    await message(page).getByText("Expected one data set, but 2 were dropped (Two/A, Two/B)").waitFor();
    await drop("c.nii.gz");
    await message(page).getByText("c.nii.gz: an image without a label").waitFor();

    // Labels and further pairs may come later.
    await drop("a.nii.gz", "a_seg.nii.gz", "b.nii.gz", "b_seg.nii.gz", "d.nii.gz", "d_seg.nii.gz");
    await cases(page).getByText("1 case, 2 left out").waitFor();
    const row = (id: string) =>
      page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: id, exact: true }) });
    expect(await row("b").textContent()).toContain("24, 24, 24");
    expect(await row("d").textContent()).toContain("d.nii.gz");
    await page.getByText("c.nii.gz: an image without a label").last().waitFor();
    expect(await page.getByLabel("Validation", { exact: true }).locator("option").allTextContents()).toEqual([
      "none: all cases train",
    ]);

    await page.getByLabel("Net", { exact: true }).selectOption("Other");
    await page.getByLabel("Name of the net").fill("wide:9");
    await page.getByLabel("Name of the net").blur();
    await page
      .getByText(/wide:9/)
      .last()
      .waitFor();
    expect(await page.getByRole("button", { name: "Train", exact: true }).isDisabled()).toBe(true);
    await page.getByLabel("Name of the net").fill("lean:1000");
    await page.getByLabel("Name of the net").blur();
    await page.getByText(/^Training needs .* Take a smaller net/).waitFor();
    await page.getByLabel("Net", { exact: true }).selectOption("lean:4");
    await page.getByText("Memory:").waitFor();
    await page.getByRole("button", { name: "Train", exact: true }).and(page.locator(":enabled")).waitFor();
    expect(errors).toEqual([]);
    await close();
  });
});
