import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { lunetVersion } from "../src/util/version.ts";

interface Entry {
  resolved?: string;
  version?: string;
  optionalDependencies?: Record<string, string>;
}

const root = new URL("../", import.meta.url);
const lock = JSON.parse(readFileSync(new URL("package-lock.json", root), "utf8")) as {
  packages: Record<string, Entry>;
};
const packages = Object.entries(lock.packages);

it("the lock file names no registry, so it installs from any", () => {
  expect(packages.filter(([, entry]) => entry.resolved?.startsWith("http")).map(([path]) => path)).toEqual([]);
});

it("the version that pages tell is the package's", () => {
  const { version } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { version: string };
  expect(lunetVersion()).toBe(version);
});

// A registry mirror that lacks the programs of other platforms makes npm drop them, and "npm ci" then fails elsewhere.
it("the lock file has the packages of every platform, with their versions", () => {
  const wanted = packages.flatMap(([, entry]) => Object.keys(entry.optionalDependencies ?? {}));
  expect(wanted.length).toBeGreaterThan(20);
  const missing = wanted.filter(
    (name) => !packages.some(([path, e]) => path.endsWith(`node_modules/${name}`) && e.version),
  );
  expect(missing).toEqual([]);
});
