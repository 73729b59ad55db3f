import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, describe } from "vitest";
import { type Served, type ServeOptions, serveFolder } from "../../app/serve.ts";

const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** The browser: LUNET_CHROMIUM, else the first of the usual names on the path, else where macOS has it. */
function findChromium(): string | undefined {
  if (process.env.LUNET_CHROMIUM) return process.env.LUNET_CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const places = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...places, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"].find((path) => existsSync(path));
}
const executable = findChromium();

/** `describe` for tests in a browser; skipped, with the reason in the title, where there is none. */
export const describeInBrowser = executable
  ? describe
  : (title: string, body: () => void) =>
      describe.skip(`${title} (skipped: no Chromium; install it or set LUNET_CHROMIUM)`, body);

/** Software drawing, so that the pictures need no graphics card. */
const plainFlags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
/** WebGPU in software. */
export const webgpuFlags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

let built: Promise<string> | undefined;
const browsers = new Map<string, Promise<Browser>>();
const open: { close(): unknown }[] = [];

const root = fileURLToPath(new URL("../../", import.meta.url));
const cache = join(root, "node_modules", ".cache", "lunet-app");

/** A name for the state of all that the app is built from: paths, sizes and times of its files. */
function sourcesKey(): string {
  const hash = createHash("sha256");
  const add = (path: string): void => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  for (const folder of ["app", "src"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort()) {
      if (!name.startsWith("dist") && !name.endsWith(".test.ts")) add(join(root, folder, name));
    }
  }
  for (const file of ["package.json", "package-lock.json"]) add(join(root, file));
  return hash.digest("hex").slice(0, 16);
}

/** The app, built once for all test files, and kept until its sources change. */
export function builtApp(): Promise<string> {
  built ??= (async () => {
    const folder = join(cache, sourcesKey());
    if (existsSync(folder)) return folder;
    for (const old of existsSync(cache) ? readdirSync(cache) : []) {
      // Younger ones may be in use by another run.
      const made = statSync(join(cache, old), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (made < Date.now() - 3_600_000) rmSync(join(cache, old), { recursive: true, force: true });
    }
    const own = `${folder}.${process.pid}`;
    await build({
      configFile: join(root, "app", "vite.config.ts"),
      build: { outDir: own },
      logLevel: "error",
    });
    try {
      renameSync(own, folder);
    } catch {
      // Another test file was quicker.
      rmSync(own, { recursive: true });
    }
    return folder;
  })();
  return built;
}

export interface OpenOptions extends Pick<ServeOptions, "isolated" | "edit"> {
  /** File name of the page. Default index.html. */
  page?: string;
  /** Address of a server that runs already, with the final "/", instead of one of the built app. */
  url?: string;
  /** Further flags of the browser. */
  flags?: string[];
  viewport?: { width: number; height: number };
  colours?: "light" | "dark";
  /** Whether the page may install its service worker. Default false: tests are then alone with the server. */
  offline?: boolean;
}

export interface OpenPage {
  page: Page;
  context: BrowserContext;
  url: string;
  /** Addresses of all requests, of workers too. */
  requests: string[];
  /** Errors on the console and exceptions that nobody caught. */
  errors: string[];
  close(): Promise<void>;
}

/** Serves the built app and opens one of its pages in a fresh context. What is left open ends with the test file. */
export async function openPage(options: OpenOptions = {}): Promise<OpenPage> {
  const { page: file = "index.html", flags = [], viewport = { width: 1280, height: 720 }, colours = "light" } = options;
  const served: Served | null = options.url ? null : await serveFolder(await builtApp(), options);
  if (served) open.push(served.server);
  const url = options.url ?? served!.url;
  const key = flags.join(" ");
  if (!browsers.has(key)) {
    browsers.set(key, chromium.launch({ executablePath: executable, args: [...plainFlags, ...flags] }));
  }
  const browser = await browsers.get(key)!;
  const context = await browser.newContext({
    viewport,
    colorScheme: colours,
    acceptDownloads: true,
    serviceWorkers: options.offline ? "allow" : "block",
  });
  // As in vitest's own settings: only to end what hangs.
  context.setDefaultTimeout(100_000);
  const page = await context.newPage();
  const [requests, errors]: string[][] = [[], []];
  context.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  const close = async (): Promise<void> => {
    await context.close();
    served?.server.close();
    served?.server.closeAllConnections();
  };
  await page.goto(url + file);
  return { page, context, url, requests, errors, close };
}

afterAll(async () => {
  for (const browser of browsers.values()) await (await browser).close();
  for (const one of open) one.close();
});

/** Drops files on an element as a user would drag them there. Folders cannot be made up in a page: their files are dropped alone. */
export async function dropFiles(page: Page, selector: string, paths: readonly string[]): Promise<void> {
  const files = paths.map((path) => ({ name: basename(path), content: readFileSync(path).toString("base64") }));
  const transfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const { name, content } of list) {
      data.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    }
    return data;
  }, files);
  await page.dispatchEvent(selector, "drop", { dataTransfer: transfer });
}

/** Presses a button and chooses files, or a folder, in the dialog that it opens. */
export async function chooseFiles(page: Page, button: string, paths: string | string[]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    page.getByRole("button", { name: button, exact: true }).first().click(),
  ]);
  await chooser.setFiles(paths);
}

/** Presses a button and gives the bytes that the page offers to save. */
export async function download(page: Page, button: string): Promise<{ name: string; bytes: Uint8Array }> {
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  return { name: saved.suggestedFilename(), bytes: new Uint8Array(readFileSync(await saved.path())) };
}

/** Controls of a page without a name, and the pixels by which it is wider than its window. */
export function looks(page: Page): Promise<{ nameless: string[]; over: number }> {
  return page.evaluate(() => {
    const all = [...document.querySelectorAll<HTMLElement>("button, input, select, canvas, progress")];
    const isNameless = (one: HTMLElement): boolean =>
      !one.getAttribute("aria-label") && !one.textContent?.trim() && !(one as HTMLInputElement).labels?.length;
    const { scrollWidth, clientWidth } = document.documentElement;
    return {
      nameless: all.filter(isNameless).map((one) => one.outerHTML.slice(0, 80)),
      over: scrollWidth - clientWidth,
    };
  });
}
