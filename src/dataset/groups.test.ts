import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parseGroups } from "./groups.ts";
import { makeFolds } from "./splits.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-groups-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

test("patterns and tables name the same subjects, and folds keep subjects whole", async () => {
  const ids = ["a_l", "a_r", "b_l", "b_r", "c_l", "c_r"];
  const table = Object.fromEntries(ids.map((id) => [id, id[0]]));
  const sources = [
    await parseGroups("^(.)_"),
    await parseGroups(file("g.json", JSON.stringify(table))),
    await parseGroups(file("g.csv", `case,subject\n${ids.map((id) => `${id}, ${id[0]}`).join("\n")}\n`)),
    await parseGroups(file("r.csv", `\uFEFF${ids.map((id) => `"${id}","${id[0]}"`).join("\n")}\n`)),
    await parseGroups(file("g.tsv", ids.map((id) => `${id}\t${id[0]}`).join("\r\n"))),
  ];
  const folds = sources.map((groups) => makeFolds(ids, { folds: 3, groups }));
  for (const each of folds) {
    expect(each).toEqual(folds[0]);
    for (const { val } of each) expect(new Set(val.map((id) => id[0])).size).toBe(1);
  }
});

test.each([
  ["sub-[0-9]+", "one capture group in the pattern of --groups"],
  ["(a)(b)", "has 2"],
  ["(", "regular expression"],
  ["/nowhere/groups.json", "cannot be read"],
])("wrong groups %s are refused in words", async (text, sentence) => {
  await expect(parseGroups(text)).rejects.toThrow(sentence);
});

test("wrong tables name the file and the line", async () => {
  await expect(parseGroups(file("bad.json", "[1]"))).rejects.toThrow("bad.json");
  await expect(parseGroups(file("broken.json", "{"))).rejects.toThrow("cannot be parsed");
  await expect(parseGroups(file("bad.csv", "a,1\nb\n"))).rejects.toThrow("line 2");
});
