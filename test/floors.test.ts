import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** The folders of src/, highest first: a file takes values only from its own folder and from folders further down. */
const floors = [
  "cli",
  "serve",
  "download",
  "batch",
  "folds",
  "study",
  "prune",
  "train",
  "predict",
  "evaluate",
  "model",
  "net",
  "engine",
  "dataset",
  "dicom",
  "volume",
  "util",
];
/** These run unchanged in browsers, except for their files.ts. */
const inBrowsers = ["engine", "net", "model", "dicom", "volume", "predict", "evaluate"];

const src = fileURLToPath(new URL("../src/", import.meta.url));

/**
 * Names that a module loads when it runs: import and export ... from, bare imports, import(). Types alone are gone by then;
 * names in comments do not count.
 */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statements = code.matchAll(/^\s*(?:import|export)\s+(?!type\b)(?:[\w*{][^"';]*?\sfrom\s+)?"([^"]+)"/gm);
  const calls = code.matchAll(/\bimport\(\s*"([^"]+)"/g);
  return [...statements, ...calls].map((match) => match[1]);
}

/** Every module of src/ without tests, by its path inside src/ with "/", and what it imports: paths inside src/, else names. */
const modules = new Map(
  readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => {
      const names = importsOf(readFileSync(join(src, file), "utf8")).map((name) =>
        name.startsWith(".")
          ? relative(src, join(src, dirname(file), name))
              .split(sep)
              .join("/")
          : name,
      );
      return [file.split(sep).join("/"), names] as const;
    }),
);

const floorOf = (file: string): number => floors.indexOf(file.split("/")[0]);
const isFiles = (file: string): boolean => file.endsWith("/files.ts");

test("imports are recognised, types and comments are not", () => {
  const source = [
    'import { a } from "./a.ts";',
    'import {\n  b,\n  type B,\n} from "./b.ts";',
    'import * as c from "c";',
    'import "./d.ts";',
    'export { e } from "./e.ts";',
    'export * from "./f.ts";',
    'const g = await import("./g.ts");',
    'import type { H } from "./h.ts";',
    'export type { I } from "./i.ts";',
    '// import { j } from "./j.ts";',
    '/** As in\n * import { k } from "./k.ts" */',
  ].join("\n");
  expect(importsOf(source).sort()).toEqual(["./a.ts", "./b.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "c"]);
  expect(modules.get("cli/commands.ts")).toContain("cli/evaluate.ts");
  expect(modules.get("volume/files.ts")).toContain("volume/nifti.ts");
});

test("every folder of src/ has its floor", () => {
  const folders = new Set([...modules.keys()].filter((file) => file.includes("/")).map((file) => file.split("/")[0]));
  expect([...folders].filter((folder) => !floors.includes(folder))).toEqual([]);
});

test("no module imports from a folder above its own", () => {
  const upwards = [...modules].flatMap(([file, names]) =>
    names
      .filter((name) => modules.has(name) && file.includes("/") && floorOf(name) < floorOf(file))
      .map((name) => `${file} imports ${name}`),
  );
  expect(upwards).toEqual([]);
});

test("what runs in browsers reaches no module of Node, by whatever way", () => {
  const found: string[] = [];
  for (const start of modules.keys()) {
    if (!inBrowsers.includes(start.split("/")[0]) || isFiles(start)) continue;
    const way = new Map([[start, start]]);
    for (const [file, path] of way) {
      for (const name of modules.get(file) ?? []) {
        if (name.startsWith("node:")) found.push(`${path} > ${name}`);
        else if (modules.has(name) && !way.has(name)) way.set(name, `${path} > ${name}`);
      }
    }
  }
  expect(found).toEqual([]);
});
