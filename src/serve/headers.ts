import { isIP } from "node:net";
import { hostname } from "node:os";

/** Sent with every answer: nothing is kept, guessed, shared with other pages or told to them. */
export const commonHeaders = {
  "Cache-Control": "no-store",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/** Of the page: its own files alone, no inline code or style. */
export const pagePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; " +
  "worker-src 'self'; frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Of files of the folder: reports have their style and pictures inside, and nothing in them may run or load. */
export const filePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'self'; sandbox";

/** Addresses that only this machine reaches. */
export const isLocal = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

/**
 * Whether a request's Host header names this server, bound to `bound`. A page of another site that has its own name point to this machine
 * (DNS rebinding) still sends its name, so names other than ours are refused; addresses in digits cannot be pointed elsewhere.
 */
export function hostAllowed(header: string | undefined, bound: string): boolean {
  if (header === undefined || !/^[\w.:[\]-]+$/.test(header)) return false;
  const name = header
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
  if (isLocal(name) || name === bound.toLowerCase()) return true;
  return !isLocal(bound) && (isIP(name) !== 0 || name === hostname().toLowerCase());
}
