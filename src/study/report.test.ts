import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Resvg } from "@resvg/resvg-js";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { drawFigures } from "./figures-render.ts";
import { madeUpStudy, paperArms, writeStudy } from "./report.fixture.ts";
import { reportContent, writeReport } from "./report.ts";
import { armsCsv, csvOf } from "./report-csv.ts";
import { reportPage } from "./report-page.ts";
import { armRows, largestBatch } from "./report-rows.ts";
import type { StudyArm } from "./types.ts";

const few: StudyArm[] = paperArms.filter((arm) => ["unet-4", "lean-8", "stamp"].includes(arm.id));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-report-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a whole study", () => {
  const names = ["channels", "dice-parameters", "differences", "levels", "reference", "skips", "training-cases"];
  let page: string;

  beforeAll(async () => {
    const data = madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 8 });
    const lost = data.results.pop()!;
    data.failures.push({ config: lost, message: "Loss became NaN in step 3; lower the rate <lr>." });
    const open = data.results.pop()!;
    data.open.push(open);
    await writeStudy(folder, data);
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const written = await writeReport(folder);
    expect(written.missing).toBeNull();
    page = await readFile(written.page, "utf8");
    expect(warn).not.toHaveBeenCalled(); // vega-lite warns of what it cannot draw as told
    warn.mockRestore();
  });

  test("becomes a page that needs nothing else", () => {
    expect(page.match(/https?:\/\/[^"\s]+/g)?.filter((url) => !url.startsWith("http://www.w3.org/"))).toEqual([]);
    expect(page).not.toMatch(/<script|<link|@import/);
    for (const name of names) expect(page).toContain(`<figure id="${name}">`);
    expect(page).toContain("<h2>What pruning removed</h2>");
    for (const id of [1, 2, 3, 4]) expect(page).toContain(`<h3>${id}. `);
    const ids = [...page.matchAll(/\bid="([^"]+)"/g)].map((match) => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(page).not.toMatch(/undefined|NaN(?! in step)|\[object/);
  });

  test("names what failed and what is open, made safe", () => {
    expect(page).toContain("failed: Loss became NaN in step 3; lower the rate &lt;lr&gt;.");
    expect(page).toContain("Not finished: 1 run (lean:8, 40 cases)");
  });

  test("figures follow the page's colours, text included", () => {
    expect(page).toContain('fill="var(--ink, #1c1f24)"');
    expect(page).toMatch(/stroke="var\(--arm-\d, #/);
    for (const name of ["ink", "soft", "line", "ground", "arm-0", "arm-5"]) expect(page).toContain(`--${name}:#`);
  });

  test("has each figure as SVG and PNG, and its numbers as JSON and CSV", async () => {
    const files = names.flatMap((name) => [`${name}.png`, `${name}.svg`]).sort();
    expect((await readdir(join(folder, "figures"))).sort()).toEqual(files);
    const report = JSON.parse(await readFile(join(folder, "report.json"), "utf8"));
    expect(report).toMatchObject({
      version: 1,
      study: "paper",
      runs: { finished: 34, failed: 1, open: 1 },
      missing: null,
    });
    expect(report.claims).toHaveLength(4);
    expect(report.arms).toHaveLength(18);
    expect(report.structures).toHaveLength(6);
    const arms = (await readFile(join(folder, "report.csv"), "utf8")).trimEnd().split("\r\n");
    expect(arms).toHaveLength(19);
    expect(arms[1]).toContain("unet-8,unet:8,doubling widths,unet:8,2,0,0,160,16,1413259,1413259,1413259,");
    const sizes = (await readFile(join(folder, "report-sizes.csv"), "utf8")).trimEnd().split("\r\n");
    expect(sizes).toHaveLength(1 + 28 + 6 * 17);
    const cases = (await readFile(join(folder, "report-cases.csv"), "utf8")).trimEnd().split("\r\n");
    expect(cases).toHaveLength(1 + 34 * 8 * 2);
  });

  test("PNGs show text without any font of the machine", async () => {
    const [svg, png] = await Promise.all(["svg", "png"].map((end) => readFile(join(folder, `figures/levels.${end}`))));
    const bare = new Resvg(svg, { fitTo: { mode: "zoom", value: 2.5 }, font: { loadSystemFonts: false } });
    expect(bare.render().asPng().length).toBeLessThan(0.7 * png.length); // the same picture without its letters
  });
});

test("the same study gives the same page", async () => {
  const data = () => madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 6 }, few);
  const [one, other] = [reportPage(await reportContent(data())), reportPage(await reportContent(data()))];
  expect(one === other).toBe(true); // no comparison that would print two pages
});

test("without drawing packages there are answers and tables, and what to install", async () => {
  const absent = (...names: string[]) => ({
    load: async (name: string) => {
      if (names.includes(name)) throw new Error(`Cannot find package '${name}'`);
      return name === "vega" ? import("vega") : import("vega-lite");
    },
  });
  const data = madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 6 }, few);
  const content = await reportContent(data);
  const figures = content.drawings.map((drawing) => drawing.figure).slice(0, 1);
  const none = await drawFigures(figures, absent("vega"));
  expect(none.drawings).toEqual([]);
  expect(none.missing).toContain('"npm install vega vega-lite"');
  const noPng = await drawFigures(figures, absent("@resvg/resvg-js"));
  expect(noPng.drawings).toMatchObject([{ png: null }]);
  expect(noPng.missing).toContain('"npm install @resvg/resvg-js @expo-google-fonts/lato"');
  const page = reportPage({ ...content, ...none });
  expect(page).toContain("npm install vega vega-lite");
  expect(page).toContain("Do the paper's claims hold here?");
});

describe("rows", () => {
  test("mean and sd over runs of the means over cases; ranges of pruned nets", () => {
    const data = madeUpStudy({ folds: 2, seeds: 1, casesPerFold: 3 }, few);
    const [unet, lean, stamp] = armRows(data);
    expect(lean.parameters).toEqual({ median: 39043, min: 39043, max: 39043 });
    expect(stamp.parameters!.max).toBeLessThanOrEqual(unet.parameters!.max);
    const means = data.results
      .filter((run) => run.arm === "lean-8")
      .map((run) => {
        const scores = Object.values(run.sizes[0].test!).map(({ dice }) => (dice[0] + dice[1]) / 2);
        return scores.reduce((sum, value) => sum + value, 0) / 3;
      });
    expect(lean.dice!.mean).toBeCloseTo((means[0] + means[1]) / 2, 12);
    expect(lean.dice!.sd).toBeCloseTo(Math.abs(means[0] - means[1]) / Math.SQRT2, 12);
    expect(lean).toMatchObject({ runs: 2, testCases: 6, failed: 0, open: 0 });
  });

  test("the largest batch is what fits beside weights, gradients and two moments", () => {
    // 1 GiB less 16 bytes a parameter leaves 3 x 2^28 bytes: three windows of 2^28.
    expect(largestBatch({ parameters: 2 ** 24, trainingBytes: 2 ** 28 }, 1)).toBe(3);
    expect(largestBatch({ parameters: 2 ** 27, trainingBytes: 2 ** 28 }, 1)).toBe(0);
  });

  test("an arm without runs has empty cells; commas and quotes are kept", () => {
    const data = { ...madeUpStudy({ folds: 1, seeds: 1 }, []), results: [] };
    data.study.arms = [{ ...few[0], label: 'a, "b"' }];
    const [head, row] = armsCsv(armRows(data), ["x"]).split("\r\n");
    expect(row).toContain('"a, ""b""",doubling widths,unet:4,0,0,0,,0,,,,');
    expect(row.split(",").length).toBe(head.split(",").length + 1); // the label's own comma
    expect(csvOf(["a"], [[null], [true], [0]])).toBe("a\r\n\r\ntrue\r\n0\r\n");
  });
});

describe("folders that are not right", () => {
  async function broken(name: string, change: (at: string) => Promise<unknown>): Promise<unknown> {
    const at = join(folder, name);
    await writeStudy(at, madeUpStudy({ folds: 1, seeds: 1, casesPerFold: 2 }, few.slice(0, 2)));
    await change(at);
    return writeReport(at).then(
      (written) => written.page,
      (error) => error.message,
    );
  }

  test("are refused in words", async () => {
    expect(await writeReport(join(folder, "nowhere")).catch((error) => error.message)).toContain(
      "study.json does not exist",
    );
    const edit = (name: string, file: string, from: string, to: string) =>
      broken(name, async (at) => {
        const path = join(at, file);
        await writeFile(path, (await readFile(path, "utf8")).replace(from, to));
      });
    const result = "runs/0001/result.json";
    expect(await edit("b1", result, '"chosen":0', '"chosen":4')).toContain("chose size 4 of only 1");
    expect(await edit("b2", result, '"arm":"unet-4"', '"arm":"unet-9"')).toContain('the arm "unet-9", which');
    expect(await edit("b3", result, '"fold":0', '"fold":"x"')).toContain('key "fold"');
    expect(await edit("b4", result, "{", "")).toContain("should be JSON");
    expect(await edit("b5", "study.json", '"version":1', '"version":2')).toContain("update lunet");
  });

  test("a run folder that was removed is only a run less", async () => {
    const page = await broken("gone", (at) => rm(join(at, "runs/0002"), { recursive: true }));
    expect(await readFile(page as string, "utf8")).toContain("1 run finished");
  });
});
