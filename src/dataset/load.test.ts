import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodePng } from "../volume/png.ts";
import { readCase } from "./load.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lunet-load-"));
});
afterAll(() => rm(root, { recursive: true }));

const picture = async (name: string, channels: 1 | 3, data: number[]): Promise<string> => {
  const path = join(root, name);
  const [width, height] = [data.length / channels, 1];
  await writeFile(path, await encodePng({ width, height, channels, data: Uint8Array.from(data) }));
  return path;
};

test("a colour picture has three channels; a grey one among them has its values three times", async () => {
  const rgb = ["R", "G", "B"];
  const read = async (path: string, channels: string[]) =>
    (await readCase({ id: "a", images: [path] }, channels)).images.map(({ data }) => [...data]);
  const colour = await picture("colour.png", 3, [1, 2, 3, 4, 5, 6]);
  const grey = await picture("grey.png", 1, [7, 8]);
  expect(await read(colour, rgb)).toEqual([
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
  for (const path of [grey, await picture("grey-rgb.png", 3, [7, 7, 7, 8, 8, 8])]) {
    expect(await read(path, ["grey"])).toEqual([[7, 8]]);
    expect(await read(path, rgb)).toEqual([1, 2, 3].map(() => [7, 8]));
  }
  await expect(read(colour, ["grey"])).rejects.toThrow("Expected 1 channel (grey) for case a, but its files hold 3");
  await expect(read(grey, ["T1", "T2"])).rejects.toThrow("its files hold 1");
  await expect(readCase({ id: "a", images: [grey], label: colour }, ["grey"])).rejects.toThrow(
    "colour.png: colour PNG; expected grey values: save it as 8-bit grey (labels: the label numbers)",
  );
});
