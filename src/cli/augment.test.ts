import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { intensitySteps } from "../dataset/augment-chain.ts";
import { writePhantomDataset } from "../dataset/phantom-dataset.ts";
import { planOf, preparedOf } from "../dataset/testing.ts";
import type { Vec3 } from "../volume/volume.ts";
import { type SheetOptions, sheetRows } from "./augment-rows.ts";
import { lunet } from "./testing.ts";

let root = "";
let data = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-sheet-"));
  data = join(root, "data");
  await writePhantomDataset(data, { cases: 2, test: 1, shape: [20, 24, 20] });
});
afterAll(() => rm(root, { recursive: true }));

const augment = (...args: string[]) => lunet("augment", ...args);

describe("the command", () => {
  test("writes a sheet, the same for the same seed, over a file that was there, with names and probabilities", async () => {
    const [first, again] = ["first", "again"].map((name) => join(root, "sheets", `${name}.svg`));
    const usual = [data, "--patch", "16", "--mirror", "W", "--case", "phantom_002"];
    expect(await augment(...usual, "--preview", first)).toMatchObject({ code: 0, text: `${first}\n` });
    await writeFile(again, "old");
    await augment(...usual, "--preview", again);
    const svg = await readFile(first, "utf8");
    expect(await readFile(again, "utf8")).toBe(svg);
    expect((await readdir(join(root, "sheets"))).sort()).toEqual(["again.svg", "first.svg"]);
    for (const words of ["of phantom_002", ">rotation<", ">25 %, then 50 %", "anterior", "16 x 16 x 16", "along W"]) {
      expect(svg).toContain(words);
    }
    // Windows, rotation, zoom, 7 intensities and 2 rows of the chain with 6 pictures each, and mirroring with 2.
    expect(svg.match(/<image /g)).toHaveLength(12 * 6 + 2);
  });

  test("writes PNG, where its optional packages are there, and times", async () => {
    const out = join(root, "sheet.png");
    const { code, text } = await augment(data, "--patch", "8", "--level", "light", "--preview", out, "--time");
    expect(code, text).toBe(0);
    expect([...(await readFile(out)).subarray(0, 4)]).toEqual([0x89, 0x50, 0x4e, 0x47]);
    expect(text).toMatch(/2 windows of 8x8x8:\ntransform .*\ncut +100.0 %/);
    expect(text).toMatch(/\nnoise +10.0 %.*\nbrightness.*\ncontrast.*\na whole batch: [\d.]+ ms\n$/);
  });

  test("says what is wrong before it reads anything, or which case is none", async () => {
    const gone = join(root, "gone");
    const said = async (...args: string[]): Promise<string> => {
      const { code, text } = await augment(...args);
      expect(code).toBe(1);
      return text;
    };
    expect(await said(gone)).toContain("Expected --preview with a file to write, as in sheet.png, or --time.");
    expect(await said(gone, "--preview", "sheet.jpg")).toContain("to end in .png or .svg, but got sheet.jpg");
    expect(await said(gone, "--time", "--level", "heavy")).toContain(
      "expected none, light, full, spatial or intensity",
    );
    expect(await said(gone, "--time", "--seed", "0.5")).toContain("--seed to be a whole number");
    expect(await said(gone, "--time")).toContain(`Expected a data set at ${gone}`);
    expect(await said(data, "--time", "--case", "x")).toContain("as in phantom_001, phantom_002, but got x.");
    expect(await said(data, "--time", "--shift", "2")).toContain("--shift to be a number from 0 to 0.5");
    // The folder of the sheet is a file.
    expect(await said(data, "--patch", "8", "--preview", join(data, "dataset.json", "a.svg"))).toContain(
      "dataset.json",
    );
  });
});

describe("the rows", () => {
  const shape: Vec3 = [6, 20, 20];
  const label = Uint8Array.from({ length: 2400 }, (_, i) => (i % 20 > 12 ? 1 : 0));
  const prepared = preparedOf(
    shape,
    Array.from({ length: 2400 }, (_, i) => (i * 7919) % 101),
    label,
  );
  const plan = planOf({ mirrorAxes: [1] });
  const rows = (options: Partial<SheetOptions> = {}) =>
    sheetRows(prepared, plan, { window: [4, 16, 16], level: "full", shift: 0, seed: 0, draws: 2, ...options });

  test("are those of the level", () => {
    const names = (level: SheetOptions["level"]): string[] => rows({ level }).map(({ name }) => name);
    const intensities = intensitySteps.map(({ name }) => name);
    expect(names("full")).toEqual(["windows", "rotation", "zoom", ...intensities, "mirror", "full", "full"]);
    expect(names("spatial")).toEqual(["windows", "rotation", "zoom", "mirror", "spatial", "spatial"]);
    expect(names("intensity")).toEqual(["windows", ...intensities, "intensity", "intensity"]);
    expect(names("light")).toEqual(["windows", "noise", "brightness", "contrast", "mirror", "light", "light"]);
    expect(names("none")).toEqual(["windows"]);
  });

  test("show each transform beside the window as it is, and change it", () => {
    for (const { name, cells } of rows()) {
      if (name === "windows" || name === "full") {
        expect(cells).toHaveLength(5);
        continue;
      }
      expect(cells).toHaveLength(name === "mirror" ? 2 : 5);
      const [plain, ...others] = cells;
      expect(plain.caption).toBe("as it is");
      // Noise of sigma 0 and the resolution kept change nothing.
      const idle = others.filter(({ patch }) => patch.image.every((v, i) => v === plain.patch.image[i]));
      expect(idle.map(({ caption }) => caption)).toEqual(
        name === "noise" ? ["sigma 0"] : name === "low resolution" ? ["zoom 1"] : [],
      );
    }
  });

  test("are drawn by the seed", () => {
    const images = (seed: number) => rows({ seed }).map(({ cells }) => cells.map(({ patch }) => patch.image));
    expect(images(1)).toEqual(images(1));
    expect(images(1)).not.toEqual(images(2));
  });

  test("of flat patches turn in the plane, by a quarter and half a turn at the ends", () => {
    const [turned] = rows().filter(({ name }) => name === "rotation");
    expect(turned.words[1]).toBe("-180 to 180 degrees about D");
    expect(turned.cells.slice(1, 3).map(({ caption }) => caption)).toEqual(["-90 degrees", "180 degrees"]);
    const [plain, , half] = turned.cells;
    const reversed = Float32Array.from({ length: 1024 }, (_, i) => {
      const slice = i - (i % 256);
      return plain.patch.image[slice + 255 - (i % 256)];
    });
    reversed.forEach((v, i) => {
      expect(half.patch.image[i]).toBeCloseTo(v, 3);
    });
  });
});
