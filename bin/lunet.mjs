#!/usr/bin/env node
// Starts the command line on a Node that is fast enough. In a checkout that is the pinned one in node_modules; with Node 24
// or newer, and where there is no pinned one, it is the running one. Plain JavaScript that any Node since 18 can read.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { pinnedNode } from "./pinned-node.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "src", "cli", "main.ts");
const built = join(root, "dist", "cli", "main.js");
const entry = existsSync(source) ? source : built;
const [major, minor] = process.versions.node.split(".").map(Number);
const pinned = pinnedNode(root);

if (major < 24 && pinned) {
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // The terminal sends Ctrl-C to both; the child decides how to stop, and this process only passes on its end.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`The pinned Node could not be started (${error.message}); run "npm rebuild node".`);
    process.exit(1);
  });
  child.on("exit", (code) => process.exit(code ?? 1));
} else {
  const stripsTypes = major > 22 || (major === 22 && minor >= 18);
  if (entry === source && !stripsTypes) {
    console.error(
      `This checkout needs its pinned Node, and the running one is ${process.version}: run "npm ci" first.`,
    );
    process.exit(1);
  }
  if (major < 22 || (major === 22 && minor < 3)) {
    console.error(
      `lunet needs Node 22.3 or newer, and this is ${process.versions.node}; install a newer Node (24 or newer is the fastest).`,
    );
    process.exit(1);
  }
  const { main } = await import(pathToFileURL(entry).href);
  process.exitCode = await main(process.argv.slice(2));
}
