import { realpath } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { UserError } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { send, sendBytes, sendError, sendPath } from "./answers.ts";
import { listCases, scanOfCase } from "./cases.ts";
import { hostAllowed, pagePolicy } from "./headers.ts";
import { insideFolder, pathParts, RequestError } from "./inside.ts";
import { createJobs, type Jobs } from "./jobs.ts";
import { checkFolder, isShown, listFolder } from "./listing.ts";
import type { PageFile } from "./page.ts";
import type { JobOrder } from "./types.ts";

export interface ServeOptions {
  /** Folder to show. */
  folder: string;
  /** The built page by address; see readPage. */
  page: ReadonlyMap<string, PageFile>;
  /** 0: any free one. */
  port: number;
  /** Address or name to listen at; only this machine reaches 127.0.0.1. */
  host: string;
}

export interface RunServer {
  /** Where the page is, with the final "/". */
  url: string;
  /** Ends the running job, open answers and the server. */
  close(): Promise<void>;
}

/** Limits on what is asked and answered. */
const mostUrl = 4096;
const mostBody = 4096;
const mostFile = 256 * 2 ** 20;

/** Starts the server of the run viewer. UserError for a folder with nothing to show, and an address or port that cannot be had. */
export async function startServer({ folder, page, port, host }: ServeOptions): Promise<RunServer> {
  const root = await realpath(folder).catch((error) => {
    throw explainFileError(error, folder) ?? error;
  });
  await checkFolder(root, folder);
  const jobs = createJobs();
  const server = createServer(async (request, response) => {
    try {
      await answer(request, response, { root, page, host, jobs });
    } catch (error) {
      sendError(response, error);
    }
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  await new Promise<void>((done, failed) => server.once("error", failed).listen(port, host, done)).catch((error) => {
    throw explainListen(error, host, port) ?? error;
  });
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${name}:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((done) => {
        jobs.stop();
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

function explainListen(error: NodeJS.ErrnoException, host: string, port: number): UserError | undefined {
  const words: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use, perhaps by another lunet serve; choose another --port, or 0 for any free one.`,
    EACCES: `Port ${port} may not be used by you; choose a --port of 1024 or more, or 0 for any free one.`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose another --host, or leave it out.`,
    ENOTFOUND: `${host} is no address of this machine; choose another --host, or leave it out.`,
  };
  return error.code && error.code in words ? new UserError(words[error.code], { cause: error }) : undefined;
}

interface Shown extends Pick<ServeOptions, "page" | "host"> {
  root: string;
  jobs: Jobs;
}

async function answer(request: IncomingMessage, response: ServerResponse, shown: Shown): Promise<void> {
  const { root, page, host, jobs } = shown;
  if (!hostAllowed(request.headers.host, host)) {
    throw new RequestError(
      403,
      "The name in the address is not one of this server; use the address that lunet serve printed.",
    );
  }
  const { method, url = "/" } = request;
  if (url.length > mostUrl) throw new RequestError(414, "The address is too long.");
  const [path, search = ""] = url.split("?", 2);
  if (method === "POST" && path === "/api/job") return send(request, response, await startJob(request, root, jobs));
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    throw new RequestError(405, "Only GET and HEAD are answered here.");
  }
  const file = page.get(path);
  if (file) {
    const policy = { "Content-Security-Policy": pagePolicy, "Content-Type": file.type };
    return sendBytes(request, response, file.bytes, policy);
  }
  const part = (start: string): string[] | null =>
    path.startsWith(start) ? pathParts(path.slice(start.length)) : null;
  if (path === "/api/list") return send(request, response, await listFolder(root));
  if (path === "/api/job") return send(request, response, jobs.state());
  const shownFile = part("/files/");
  if (shownFile) return sendFile(request, response, root, shownFile);
  const cases = part("/api/cases/");
  if (cases) return send(request, response, await listCases(await insideFolder(root, cases)));
  const scan = part("/api/scan/");
  if (scan) return sendScan(request, response, await insideFolder(root, scan), new URLSearchParams(search));
  throw new RequestError(404, "There is nothing at this address.");
}

/** Starts or stops a job. A page of another site can send this too, but not with our origin. */
async function startJob(request: IncomingMessage, root: string, jobs: Jobs): Promise<unknown> {
  const { origin, host, "content-type": type } = request.headers;
  if (origin !== `http://${host}` || type !== "application/json") {
    throw new RequestError(403, "Only the page of this server may start work.");
  }
  const order = parseOrder(await bodyOf(request));
  if (order === "stop") jobs.stop();
  else {
    const folder = await insideFolder(root, pathParts(order.path.split("/").map(encodeURIComponent).join("/")));
    if (!jobs.start(order, folder))
      throw new RequestError(409, "Other work is being done; wait for its end, or stop it.");
  }
  return jobs.state();
}

function parseOrder(text: string): JobOrder | "stop" {
  try {
    const { kind, path } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (kind === "stop") return "stop";
    if ((kind === "cases" || kind === "report") && typeof path === "string") return { kind, path };
  } catch {
    // Said below.
  }
  throw new RequestError(400, 'Expected {"kind": "cases", "report" or "stop", "path": the folder}.');
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostBody) throw new RequestError(413, "The request is too long.");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  root: string,
  parts: readonly string[],
): Promise<void> {
  const name = parts.at(-1) ?? "";
  if (!isShown(name)) throw new RequestError(404, "Files of this kind are not shown.");
  const path = await insideFolder(root, parts);
  // The name that counts is that of the file, not that of a link to it.
  if (!isShown(basename(path))) throw new RequestError(403, `${name} is a link to a file of another kind.`);
  await sendPath(request, response, path, mostFile);
}

async function sendScan(
  request: IncomingMessage,
  response: ServerResponse,
  folder: string,
  search: URLSearchParams,
): Promise<void> {
  const id = search.get("case") ?? "";
  const asked = search.get("part") ?? "";
  if (asked !== "truth" && !/^\d{1,3}$/.test(asked)) {
    throw new RequestError(400, 'Expected part to be "truth" or the number of an image.');
  }
  const scan = await scanOfCase(folder, id, asked === "truth" ? asked : Number(asked));
  if ("path" in scan) return sendPath(request, response, scan.path, Number.POSITIVE_INFINITY);
  sendBytes(request, response, scan.bytes, { "Content-Type": "application/octet-stream" });
}
