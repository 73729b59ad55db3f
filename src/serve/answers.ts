import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { UserError } from "../util/errors.ts";
import { explainFileError } from "../util/files.ts";
import { commonHeaders, filePolicy } from "./headers.ts";
import { RequestError } from "./inside.ts";
import { mediaTypes } from "./listing.ts";

export async function sendPath(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  most: number,
): Promise<void> {
  const info = await stat(path);
  if (!info.isFile()) throw new RequestError(404, `${basename(path)} is not a file.`);
  if (info.size > most) throw new RequestError(413, `${basename(path)} is too large to be shown.`);
  const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  head(response, 200, {
    "Content-Security-Policy": filePolicy,
    "Content-Type": mediaTypes[ending] ?? "application/octet-stream",
    "Content-Length": info.size,
  });
  if (request.method === "HEAD" || info.size === 0) {
    response.end();
    return;
  }
  // Only as much as was announced: a log may grow meanwhile.
  await pipeline(createReadStream(path, { end: info.size - 1 }), response);
}

export function send(request: IncomingMessage, response: ServerResponse, value: unknown, status = 200): void {
  const headers = { "Content-Type": "application/json", "Content-Security-Policy": filePolicy };
  sendBytes(request, response, Buffer.from(JSON.stringify(value)), headers, status);
}

export function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  headers: Record<string, string>,
  status = 200,
): void {
  head(response, status, { "Content-Security-Policy": filePolicy, ...headers, "Content-Length": bytes.length });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function head(response: ServerResponse, status: number, headers: Record<string, string | number>): void {
  response.writeHead(status, { ...commonHeaders, ...headers });
}

/** An error as a sentence for the page; a fault of the server goes to the terminal, with its stack. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    // An answer that breaks off in the middle, such as a reader that has gone.
    response.destroy();
    return;
  }
  const known = error instanceof UserError ? error : explainFileError(error);
  const status = error instanceof RequestError ? error.status : known ? 422 : 500;
  if (status === 500) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  const message =
    error instanceof RequestError ? error.message : (known?.message ?? "A fault in lunet; the terminal says more.");
  const body = Buffer.from(JSON.stringify({ error: message }));
  head(response, status, {
    "Content-Type": "application/json",
    "Content-Security-Policy": filePolicy,
    "Content-Length": body.length,
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
