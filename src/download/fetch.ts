import { type FileHandle, open, rm, stat } from "node:fs/promises";
import * as v from "valibot";
import { fail, UserError } from "../util/errors.ts";
import { explainFileError, readJson, writeFileAtomic } from "../util/files.ts";

export interface FetchOptions {
  signal?: AbortSignal;
  /** Told before the first byte is read how many there are (null: the server does not say) and how many are here already. */
  onSize?: (total: number | null, have: number) => Promise<void>;
  onBytes?: (have: number, total: number | null) => void;
  /** Told why a part is fetched again. */
  onRetry?: (sentence: string) => void;
  /** Attempts in a row without a new byte after which it ends; default 6. */
  attempts?: number;
  /** Milliseconds before the nth attempt; default 1, 2, 4, ... 30 s. */
  pause?: (attempt: number) => number;
  /** Milliseconds without a byte after which a connection counts as dead; default 30 s. */
  idle?: number;
}

/** What is known of a file that is here in part. */
const stateSchema = v.object({
  url: v.string(),
  /** A strong ETag or a date (RFC 9110, 13.1.5): only with one of them a part can be continued. */
  validator: v.string(),
  total: v.nullable(v.number()),
});
type State = v.InferOutput<typeof stateSchema>;

/** A fault that may be gone at the next attempt. */
class Passing extends Error {
  /** Milliseconds that the server asks to wait. */
  readonly wait: number;
  constructor(sentence: string, wait = 0) {
    super(sentence);
    this.wait = wait;
  }
}

/** States of a server that pass: timeouts, too many requests, server faults. */
const passing = [408, 425, 429, 500, 502, 503, 504];

/**
 * Fetches a file over HTTP to `path`, continuing what is there from an earlier call where the server still has the same file (Range with
 * If-Range), and trying again after cut, dead and refused connections. What came stays at `path` when it ends early. Throws a UserError
 * where the server does not have the file, cannot be reached, or the disk is full; the signal's reason when it is aborted.
 */
export async function fetchFile(url: string, path: string, options: FetchOptions = {}): Promise<void> {
  const { attempts = 6, pause = (n: number) => Math.min(30_000, 500 * 2 ** n) } = options;
  // The most that ever was there: a server that knows no ranges begins anew each time, and must not do so for ever.
  let most = -1;
  for (let attempt = 0; ; ) {
    options.signal?.throwIfAborted();
    try {
      return await fetchOnce(url, path, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof Passing)) throw explainFileError(error, path) ?? error;
      const have = await sizeOf(path);
      attempt = have > most ? 1 : attempt + 1;
      most = Math.max(most, have);
      if (attempt >= attempts) {
        fail(
          `${url}: ${error.message}, ${attempts} times in a row; check the connection (a proxy is used with NODE_USE_ENV_PROXY=1 and ` +
            "HTTPS_PROXY) and run the command again.",
        );
      }
      const wait = Math.max(pause(attempt), error.wait);
      options.onRetry?.(`${error.message}; trying again in ${Math.ceil(wait / 1000)} s.`);
      await sleep(wait, options.signal);
    }
  }
}

async function fetchOnce(url: string, path: string, options: FetchOptions): Promise<void> {
  const state = await readState(path, url);
  const have = state ? await sizeOf(path) : 0;
  if (state && state.total !== null && have === state.total) {
    await options.onSize?.(have, have);
    return;
  }
  const life = watch(options.signal, options.idle ?? 30_000);
  try {
    const headers: Record<string, string> = { "Accept-Encoding": "identity" };
    if (state && have > 0) Object.assign(headers, { Range: `bytes=${have}-`, "If-Range": state.validator });
    const response = await fetch(url, { headers, signal: life.signal });
    life.beat();
    const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    const continued =
      response.status === 206 && range && Number(range[1]) === have && Number(range[2]) === state?.total;
    if (response.status === 416 || (response.status === 206 && !continued)) {
      // What is here is not a part of what the server has.
      await response.body?.cancel();
      await forget(path);
      throw new Passing(`${url}: the server's file is another one now, so it is fetched anew`);
    }
    checkStatus(response, url);
    const from = continued ? have : 0;
    const total = continued ? state!.total : lengthOf(response);
    await options.onSize?.(total, from);
    if (!continued) await begin(path, { url, validator: validatorOf(response), total });
    await receive(response, path, from, total, life, options);
  } catch (error) {
    throw asPassing(error, life, options.signal);
  } finally {
    life.end();
  }
}

/** Appends the body to what is there. */
async function receive(
  response: Response,
  path: string,
  from: number,
  total: number | null,
  life: Life,
  { onBytes }: FetchOptions,
): Promise<void> {
  const file: FileHandle = await open(path, "r+");
  let have = from;
  try {
    if (response.body) {
      for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
        if (total !== null && have + part.length > total) {
          fail(`${response.url}: the server sends more than the ${total} bytes that it announced; try again later.`);
        }
        await file.write(part, 0, part.length, have);
        have += part.length;
        life.beat();
        onBytes?.(have, total);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (total !== null && have < total) throw new Passing(`the connection ended after ${have} of ${total} bytes`);
}

function checkStatus(response: Response, url: string): void {
  const { status, headers } = response;
  if (passing.includes(status)) {
    const seconds = Number(headers.get("retry-after") ?? 0);
    throw new Passing(`the server answers ${status}`, Number.isFinite(seconds) ? Math.min(120, seconds) * 1000 : 0);
  }
  if (status !== 200 && status !== 206) {
    fail(`${url}: the server answers ${status}${status === 404 ? " (no such file)" : ""}; check the address.`);
  }
  if (new URL(url).protocol === "https:" && !response.url.startsWith("https:")) {
    fail(`${url} leads to ${response.url} without encryption; expected https: give another address.`);
  }
  if ((headers.get("content-type") ?? "").startsWith("text/html")) {
    fail(`${url}: the server sends a web page; expected an archive: log in to the network, or correct the address.`);
  }
  const coding = headers.get("content-encoding") ?? "identity";
  if (coding !== "identity") fail(`${url}: the server packs the file on the way (${coding}); give another address.`);
}

function lengthOf({ headers }: Response): number | null {
  const length = Number(headers.get("content-length") ?? Number.NaN);
  return Number.isSafeInteger(length) && length >= 0 ? length : null;
}

/** "" where the server gives nothing that a part could be tied to. */
function validatorOf({ headers }: Response): string {
  const tag = headers.get("etag") ?? "";
  return tag.startsWith('"') ? tag : (headers.get("last-modified") ?? "");
}

const stateFile = (path: string): string => `${path}.json`;

async function readState(path: string, url: string): Promise<State | undefined> {
  const result = v.safeParse(stateSchema, await readJson(stateFile(path)).catch(() => undefined));
  return result.success && result.output.url === url && result.output.validator !== "" ? result.output : undefined;
}

/** An empty file and what is known of it, in this order: a part without its state is not continued. */
async function begin(path: string, state: State): Promise<void> {
  await forget(path);
  await (await open(path, "w")).close();
  await writeFileAtomic(stateFile(path), `${JSON.stringify(state)}\n`);
}

/** Removes a fetched file, or what there is of it. */
export async function forget(path: string): Promise<void> {
  await rm(stateFile(path), { force: true });
  await rm(path, { force: true });
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** Ends a connection on which nothing comes, or when the user asks for it. */
interface Life {
  signal: AbortSignal;
  beat(): void;
  isIdle(): boolean;
  idle: number;
  end(): void;
}

function watch(outer: AbortSignal | undefined, idle: number): Life {
  const controller = new AbortController();
  let dead = false;
  const stop = (): void => controller.abort();
  const die = (): void => {
    dead = true;
    controller.abort();
  };
  let timer = setTimeout(die, idle);
  outer?.addEventListener("abort", stop, { once: true });
  return {
    signal: controller.signal,
    beat: () => {
      clearTimeout(timer);
      timer = setTimeout(die, idle);
    },
    isIdle: () => dead,
    idle,
    end: () => {
      clearTimeout(timer);
      outer?.removeEventListener("abort", stop);
    },
  };
}

/** Faults of the connection as passing ones; others as they are. */
function asPassing(error: unknown, life: Life, outer?: AbortSignal): unknown {
  if (outer?.aborted || error instanceof UserError || error instanceof Passing) return error;
  if (life.isIdle()) return new Passing(`nothing came for ${Math.ceil(life.idle / 1000)} s`);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  const code = cause && "code" in cause ? String(cause.code) : "";
  // fetch gives a TypeError for every fault of the network, with the reason in its cause.
  if (error instanceof TypeError && cause) {
    if (/CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO/.test(code)) {
      return new UserError(
        `The certificate of the server is not trusted (${code}); where a proxy reads along, give Node its certificate with NODE_EXTRA_CA_CERTS.`,
        { cause: error },
      );
    }
    return new Passing(`the server cannot be reached (${code || cause.message})`);
  }
  return error;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
