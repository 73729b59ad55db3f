import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fail } from "../util/errors.ts";

/** A file of the built page. */
export interface PageFile {
  type: string;
  bytes: Uint8Array;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const built = join(root, "dist", "viewer");
const config = join(root, "app", "runs", "vite.config.ts");

const types: Record<string, string> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/**
 * The files of the run viewer by their paths, "/" for the page itself. The package brings them built; a checkout builds them where they are
 * missing or older than their sources. UserError where neither can be.
 */
export function readPage(say: (text: string) => void): Map<string, PageFile> {
  if (existsSync(config) && !isFresh()) buildPage(say);
  const files = new Map<string, PageFile>();
  for (const name of namesIn(built)) {
    const type = types[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
    files.set(name === "runs.html" ? "/" : `/${name}`, { type, bytes: readFileSync(join(built, name)) });
  }
  if (!files.has("/")) {
    fail(`The page of the run viewer is missing in ${built}; install lunet again, or run npm run build in a checkout.`);
  }
  return files;
}

/** Newer than everything that it is made of. */
function isFresh(): boolean {
  const page = join(built, "runs.html");
  if (!existsSync(page)) return false;
  const made = statSync(page).mtimeMs;
  const parts = ["app/runs", "app/shared", "src"].map((part) => join(root, part));
  const sources = parts.flatMap((part) => namesIn(part).map((name) => join(part, name)));
  return [join(root, "app", "runs.html"), ...sources].every((path) => statSync(path).mtimeMs <= made);
}

function buildPage(say: (text: string) => void): void {
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  if (!existsSync(vite)) {
    fail("The page of the run viewer has to be built, and vite, which does it, is not installed; run npm ci.");
  }
  say("building the page of the run viewer");
  const done = spawnSync(process.execPath, [vite, "build", "--config", config, "--logLevel", "error"], {
    cwd: root,
    encoding: "utf8",
  });
  if (done.status !== 0) {
    fail(`The page of the run viewer could not be built; run npm run build to see why (${firstLine(done.stderr)}).`);
  }
}

const firstLine = (text: string): string => text.trim().split("\n")[0] ?? "";

/** Paths of all files in a folder, relative, with "/". */
function namesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll("\\", "/"),
    );
}
