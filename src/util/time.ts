import { fail } from "./errors.ts";

/** Now, or SOURCE_DATE_EPOCH (reproducible-builds.org: seconds since 1970) where it is set, as ISO 8601. */
export function startTime(
  environment: Record<string, string | undefined> | undefined = globalThis.process?.env,
): string {
  const fixed = environment?.SOURCE_DATE_EPOCH;
  if (fixed === undefined) return new Date().toISOString();
  if (!/^\d{1,12}$/.test(fixed)) fail(`Expected SOURCE_DATE_EPOCH to be seconds since 1970, but it is "${fixed}".`);
  return new Date(Number(fixed) * 1000).toISOString();
}
