import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writePhantomDataset } from "../src/dataset/phantom-dataset.ts";
import { madeUpStudy, paperArms, writeStudy } from "../src/study/report.fixture.ts";
import { writeReport } from "../src/study/report.ts";
import { trainNet } from "../src/train/train.ts";
import { readVolume } from "../src/volume/files.ts";
import { chooseFiles, describeInBrowser, type OpenPage, openPage } from "./app/harness.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-serve-browser-"));
const runs = join(folder, "runs");
const data = join(folder, "data");
const cli = fileURLToPath(new URL("../bin/lunet.mjs", import.meta.url));
afterAll(() => rmSync(folder, { recursive: true }));

/** How many pixels of the first canvas are lit, and how many have a colour. */
const pixelsOf = (page: Page): Promise<{ lit: number; coloured: number }> =>
  page.evaluate(() => {
    const canvas = document.querySelector("canvas")!;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    let [lit, coloured] = [0, 0];
    for (let i = 0; i < data.length; i += 4) {
      const [low, high] = [Math.min(data[i], data[i + 1], data[i + 2]), Math.max(data[i], data[i + 1], data[i + 2])];
      if (high > 40) lit++;
      if (high - low > 40) coloured++;
    }
    return { lit, coloured };
  });

/** Waits for a drawn slice. */
const drawn = (page: Page): Promise<unknown> =>
  expect.poll(async () => (await pixelsOf(page)).coloured, { timeout: 30_000 }).toBeGreaterThan(50);

const rowsOf = (page: Page): Promise<string[][]> =>
  page.$$eval(".case-table tbody tr", (rows) =>
    rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)),
  );

describeInBrowser("the run viewer", () => {
  let child: ChildProcess;
  let url: string;
  const open = (hash: string, options: object = {}): Promise<OpenPage> =>
    openPage({ url, page: `#${hash}`, ...options });

  beforeAll(async () => {
    await writePhantomDataset(data, { cases: 6, test: 0, shape: [16, 24, 20] });
    const budget = { steps: 60 };
    await trainNet({
      data,
      out: join(runs, "lean4"),
      net: "lean:4",
      levels: 3,
      folds: 2,
      epochSteps: 10,
      budget,
      threads: 1,
    });
    const copy = (name: string, change: (file: string) => void): void => {
      cpSync(join(runs, "lean4"), join(runs, name), { recursive: true });
      change(join(runs, name));
    };
    copy("cut", (at) => writeFileSync(join(at, "run.json"), readFileSync(join(at, "run.json"), "utf8").slice(0, 200)));
    copy("line", (at) => appendFileSync(join(at, "log.jsonl"), "{broken\n"));
    copy("moved", (at) => {
      const text = readFileSync(join(at, "run.json"), "utf8");
      writeFileSync(join(at, "run.json"), text.replace(JSON.stringify(data), JSON.stringify(join(folder, "gone"))));
    });
    const study = madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 2 }, paperArms.slice(0, 4));
    const count = study.results.length + study.failures.length + study.open.length;
    Object.assign(study.study, { runs: count });
    await writeStudy(join(runs, "study"), study);
    await writeReport(join(runs, "study"));
    child = spawn(process.execPath, [cli, "serve", runs, "--port", "0", "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(createInterface(child.stdout!), "line");
    ({ url } = JSON.parse(line));
  });
  afterAll(() => child?.kill("SIGKILL"));

  test("lists runs with how they stand and draws their curves", async () => {
    const { page, requests, errors, close } = await open("path=lean4");
    await page.waitForSelector(".chart .line");
    const names = await page.$$eval(".entry .name", (all) => all.map((one) => one.textContent));
    expect(names).toEqual(["cut", "lean4", "line", "moved", "study"]);
    const titles = await page.$$eval(".chart h3", (all) => all.map((one) => one.textContent));
    expect(titles).toEqual(["Loss", "Validation Dice", "Learning rate"]);
    expect(await page.locator(".chart >> nth=1 >> .line").count()).toBe(3); // two classes and the training Dice
    expect(await page.locator(".heading").textContent()).toMatch(/^lean4finishedlean:4 .* step 60 .* fold 0 · Phantom/);
    await page.hover(".chart >> nth=0 >> svg");
    expect(await page.locator(".chart >> nth=0 >> .tip").textContent()).toMatch(/^step \d+loss \d/);
    await page.click("text=Settings");
    expect(await page.locator(".settings").textContent()).toContain("learningRate");
    expect(requests.filter((address) => !address.startsWith(url))).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  test("shows damaged files as sentences beside the runs that are whole", async () => {
    const { page, close } = await open("path=cut");
    await expect.poll(() => page.locator(".notices").textContent()).toContain("cut/run.json is not JSON");
    await page.click('[data-path="line"]');
    await expect
      .poll(() => page.locator(".notices").textContent())
      .toBe("Line 7 of log.jsonl is damaged and left out.");
    await page.waitForSelector(".chart .line");
    await page.click('[data-path="moved"]');
    await page.click("text=Cases");
    await expect
      .poll(() => page.locator(".stage .sentence").textContent())
      .toContain(`no longer at ${join(folder, "gone")}`);
    await close();
  });

  test("predicts the cases, sorts them from worst to best and draws them with truth and prediction", async () => {
    const { page, errors, close } = await open("path=lean4&tab=cases");
    await drawn(page); // the truth alone
    await page.click("text=Predict the 3 validation cases");
    await page.waitForSelector("text=Predict again the 3 validation cases", { timeout: 60_000 });
    const lengthsOf = async (): Promise<number[]> => (await rowsOf(page)).map((cells) => cells.length);
    await expect.poll(lengthsOf).toEqual([4, 4, 4]);
    const rows = await rowsOf(page);
    const means = rows.map(([, mean]) => Number(mean));
    expect(means).toEqual(means.toSorted((a, b) => a - b));

    // The Dice of the worst case, counted anew.
    const [id, , anterior] = rows[0].map((text) => text.trim());
    const truth = (await readVolume(join(data, "labelsTr", `${id}.nii.gz`))).data;
    const found = (await readVolume(join(runs, "lean4", "validation-cases", `${id}.nii.gz`))).data;
    const counts = [0, 0, 0];
    for (let i = 0; i < truth.length; i++) {
      if (truth[i] === 1) counts[0]++;
      if (found[i] === 1) counts[1]++;
      if (truth[i] === 1 && found[i] === 1) counts[2]++;
    }
    expect(anterior).toBe(((200 * counts[2]) / (counts[0] + counts[1])).toFixed(1));

    await page.click(".case-table tbody tr >> nth=0");
    await expect.poll(() => page.locator(".case-note").isHidden(), { timeout: 30_000 }).toBe(true);
    await drawn(page);
    const shown = await pixelsOf(page);
    await page.locator("canvas").first().focus();
    await page.keyboard.press("Space");
    await expect.poll(async () => (await pixelsOf(page)).coloured).toBe(0);
    await page.keyboard.press("Space");
    await expect.poll(() => pixelsOf(page)).toEqual(shown);
    await page.keyboard.press("[");
    await expect.poll(() => page.locator("input[type=range]").inputValue()).toBe("0.35");
    const note = (): Promise<string | null> => page.locator(".note").first().textContent();
    const before = Number(/\d+/.exec((await note())!)![0]);
    await page.keyboard.press("ArrowUp");
    await expect.poll(note).toBe(`Axial ${before + 1} / 16`);
    await page.mouse.move(0, 0);
    await page.hover("canvas >> nth=0");
    await page.mouse.wheel(0, 100);
    await expect.poll(note).toBe(`Axial ${before} / 16`);
    await page.click("text=Difference");
    await expect.poll(() => page.locator(".mask-legend").textContent()).toMatch(/missed/);
    await page.keyboard.press("n");
    await expect.poll(() => page.locator("tr.chosen").textContent()).toContain(rows[1][0]);
    expect(errors).toEqual([]);
    await close();
  });

  test("follows a run while it trains", async () => {
    const { page, close } = await open("path=lean4");
    await page.waitForSelector(".chart .line");
    const last = readFileSync(join(runs, "lean4", "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .at(-1)!;
    appendFileSync(join(runs, "lean4", "log.jsonl"), `${last.replace('"step":60', '"step":75')}\n`);
    await expect.poll(() => page.locator(".heading").textContent(), { timeout: 15_000 }).toContain("step 75");
    await close();
  });

  test("compares runs in one plot", async () => {
    const { page, close } = await open("path=lean4");
    await page.check('[aria-label="Compare lean4"]');
    await page.check('[aria-label="Compare moved"]');
    await page.click("text=Compare 2 runs");
    await expect.poll(() => page.locator(".chart >> nth=0 >> .line").count()).toBe(2);
    expect(await page.locator("table tbody tr").count()).toBe(2);
    await page.goBack();
    await expect.poll(() => page.locator(".heading h1").textContent()).toBe("lean4");
    await close();
  });

  test("shows a study by arm, and its report in its own style", async () => {
    const { page, errors, close } = await open("path=study&tab=status");
    await expect.poll(() => page.locator(".tab-body tbody tr").count()).toBe(4);
    expect(await page.locator(".tab-body tbody tr >> nth=0").textContent()).toMatch(/^unet:82 of 2\d\d\.\d/);
    await page.click("role=tab[name=Report]");
    const frame = page.frameLocator("iframe");
    expect(await frame.locator("h1").textContent()).toContain("lunet study");
    expect(await frame.locator("body").evaluate((body) => getComputedStyle(body).marginTop)).toBe("0px");
    expect(await page.locator(".job").isHidden()).toBe(true); // nothing ended since
    expect(errors).toEqual([]);
    await close();
  });

  test("fits light and dark, 1280 x 720 and a tablet's width", async () => {
    const grounds = new Set<string>();
    for (const [colours, width] of [
      ["light", 1280],
      ["dark", 1280],
      ["light", 820],
      ["dark", 820],
    ] as const) {
      const { page, close } = await open("path=lean4&tab=cases", { colours, viewport: { width, height: 720 } });
      await drawn(page);
      const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      expect(sizes[0]).toBe(sizes[1]);
      grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      expect((await page.screenshot()).length).toBeGreaterThan(20_000); // an empty page has a few kB
      await close();
    }
    expect(grounds.size).toBe(2);
  });

  test("shows the same of a folder that is opened without a server", async () => {
    const { page, requests, errors, close, url: app } = await openPage({ page: "runs.html" });
    await chooseFiles(page, "Open a folder", runs);
    await page.waitForSelector('[data-path="runs/lean4"]');
    await page.click('[data-path="runs/lean4"]');
    await page.waitForSelector(".chart .line");
    await page.click("text=Cases");
    await expect.poll(() => rowsOf(page)).toHaveLength(3);
    await expect
      .poll(() => page.locator(".stage .sentence").textContent())
      .toContain("open the folder of the data set too");
    await chooseFiles(page, "Open a folder", data);
    await drawn(page);
    await page.click('[data-path="runs/study"]');
    await page.click("role=tab[name=Report]");
    await expect.poll(() => page.locator(".report-page h1").textContent()).toContain("lunet study");
    expect(await page.locator(".report-page main").evaluate((main) => getComputedStyle(main).maxWidth)).toBe("1080px");
    expect(requests.filter((address) => !address.startsWith(app) && !address.startsWith("blob:"))).toEqual([]);
    expect(errors).toEqual([]);
    const empty = join(folder, "empty");
    mkdirSync(empty);
    writeFileSync(join(empty, "notes.txt"), "none");
    await page.reload();
    await chooseFiles(page, "Open a folder", empty);
    expect(await page.getByRole("alert").textContent()).toContain("has none of run.json, prune.json");
    await close();
  });

  test("Ctrl+C ends the server", async () => {
    child.kill("SIGINT");
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });
});
