import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { sliceFile } from "../dicom/dicom.fixture.ts";
import { seriesCommand } from "./series.ts";

const root = mkdtempSync(join(tmpdir(), "lunet-series-"));
afterAll(() => rmSync(root, { recursive: true }));

async function series(...args: string[]): Promise<string> {
  let text = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((part) => {
    text += part;
    return true;
  });
  await seriesCommand.parseAsync(args, { from: "user" });
  write.mockRestore();
  return text;
}

test("what is there: a line a series, then what is to be known", async () => {
  mkdirSync(join(root, "in"));
  const gap = { "0020000E UI": "1.2.9", "00200011 IS": "8", "0008103E LO": "NECK" };
  for (const k of [0, 1, 2]) writeFileSync(join(root, `in/a${k}`), sliceFile(k));
  for (const k of [0, 1, 3]) writeFileSync(join(root, `b${k}`), sliceFile(k, { ...gap, "00080018 UI": `1.9.${k}` }));
  writeFileSync(join(root, "copy"), sliceFile(1));
  writeFileSync(join(root, "cut"), sliceFile(1).subarray(0, 300));
  writeFileSync(join(root, "notes.txt"), "no scan");
  const lines = (await series(root)).split("\n");
  expect(lines.slice(0, 5)).toEqual([
    "series  modality  description  shape  mm          files",
    "7       CT        HEAD         3x3x4  2x0.75x0.5      3",
    "8       CT        NECK         -      -               3",
    "series 7 has 1 copy of its own files, left out.",
    "series 8 lacks 1 of its slices (steps of 2 mm, but 4 mm between 32 mm and 36 mm along the stack).",
  ]);
  expect(lines[5]).toMatch(/cut: DICOM file that is cut short or damaged/);
  expect(lines[6]).toBe("Also there: 1 other file, 1 DICOM file that cannot be read.");
  const json = JSON.parse(await series(root, "--json"));
  expect(json.series[0]).toEqual({
    number: "7",
    uid: "1.2.3.4",
    description: "HEAD",
    modality: "CT",
    files: 3,
    copies: 1,
    shape: [3, 3, 4],
    spacing: [2, 0.75, 0.5],
    notes: [],
  });
  expect(json.damaged.length).toBe(1);
});
