import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { contentPolicy, isolationHeaders } from "./headers.ts";

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};
/** What is sent packed: everything that is text or code. */
const packable = new Set([...Object.keys(types), ".safetensors"]);
const pack = promisify(gzip);

export interface ServeOptions {
  /** Default 0: any free one. */
  port?: number;
  /** Whether answers carry the headers of cross-origin isolation. Default true. */
  isolated?: boolean;
  /** Changes a file before it is sent; `path` is relative to the folder, with "/". */
  edit?: (path: string, content: Buffer) => Buffer | string;
}

export interface Served {
  server: Server;
  /** Address with the final "/". */
  url: string;
}

/** Serves the files of a folder on this machine only. */
export async function serveFolder(folder: string, options: ServeOptions = {}): Promise<Served> {
  const root = resolve(folder);
  const { port = 0, isolated = true, edit } = options;
  const headers = {
    "Content-Security-Policy": contentPolicy,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    ...(isolated ? isolationHeaders : {}),
  };
  const server = createServer(async (request, response) => {
    const answer = (status: number, type: string, body: Buffer | string, more: Record<string, string> = {}): void => {
      response.writeHead(status, { ...headers, "Content-Type": type, ...more });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    try {
      if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "text/plain", "GET only\n");
      const name = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
      const path = resolve(root, `.${name.endsWith("/") ? `${name}index.html` : name}`);
      if (!path.startsWith(root + sep)) return answer(404, "text/plain", "Not found\n");
      const content = await readFile(path);
      const body = Buffer.from(edit?.(path.slice(root.length + 1).replaceAll(sep, "/"), content) ?? content);
      const type = types[extname(path)] ?? "application/octet-stream";
      const packs = packable.has(extname(path)) && /\bgzip\b/.test(String(request.headers["accept-encoding"]));
      if (!packs) return answer(200, type, body);
      answer(200, type, await pack(body), { "Content-Encoding": "gzip", Vary: "Accept-Encoding" });
    } catch {
      answer(404, "text/plain", "Not found\n");
    }
  });
  await new Promise<void>((done, failed) => server.once("error", failed).listen(port, "127.0.0.1", done));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

if (import.meta.main) {
  const { PORT = "4173" } = process.env;
  const built = fileURLToPath(new URL("dist", import.meta.url));
  const { url } = await serveFolder(built, { port: Number(PORT) }).catch((error: NodeJS.ErrnoException) => {
    console.error(`The app cannot be served on port ${PORT} (${error.code}); choose another one with PORT=NUMBER.`);
    process.exit(1);
  });
  console.log(`The app is at ${url} (Ctrl-C ends it).`);
}
