import dicomParser, { type DataSet } from "dicom-parser";
import { fail, UserError } from "../util/errors.ts";
import { joinBytes } from "../volume/arrays.ts";
import { inflate } from "../volume/inflate.ts";

const DEFLATED = "1.2.840.10008.1.2.1.99";

/** Largest unpacked data of a deflated file. */
const MAX_DEFLATED = 2 ** 31;

/** True for files of DICOM part 10: "DICM" after 128 bytes. */
export function isDicom(bytes: Uint8Array): boolean {
  return bytes.length > 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
}

/**
 * The elements of a DICOM file (part 10), values still in the bytes. `headerOnly` stops before the pixels: `bytes` may then
 * be only the beginning of the file. Throws a UserError that begins with `name` for a file that is none or is damaged.
 */
export async function parseDicom(bytes: Uint8Array, name: string, headerOnly = false): Promise<DataSet> {
  if (!isDicom(bytes)) fail(`${name}: not a DICOM file, "DICM" is missing at byte 128.`);
  try {
    const meta = dicomParser.readPart10Header(bytes);
    const options = headerOnly ? { untilTag: "x7fe00010" } : {};
    if (meta.string("x00020010")?.trim() !== DEFLATED) return dicomParser.parseDicom(bytes, options);
    const start = (meta as DataSet & { position: number }).position;
    const whole = joinBytes([bytes.subarray(0, start), await inflateAll(bytes.subarray(start), name)]);
    return dicomParser.parseDicom(whole, { ...options, inflater: () => whole } as object);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // What was read until then is in the cause: it may tell the file's series.
    const sentence = `${name}: DICOM file that is cut short or damaged (${wordsOf(error)}); copy it again.`;
    throw new UserError(sentence, { cause: error });
  }
}

/** dicom-parser throws strings, errors, and objects with an `exception`. */
function wordsOf(error: unknown): string {
  const inner = error && typeof error === "object" && "exception" in error ? error.exception : error;
  const text = inner instanceof Error ? inner.message : String(inner);
  return text.replace(/^dicomParser\.\w+: /, "").slice(0, 120);
}

async function inflateAll(packed: Uint8Array, name: string): Promise<Uint8Array> {
  const source = inflate(packed, "deflate-raw", name);
  const parts: Uint8Array[] = [];
  try {
    for (let total = 0; ; ) {
      const part = new Uint8Array(1 << 20);
      const filled = await source.read(part);
      parts.push(part.subarray(0, filled));
      total += filled;
      if (filled < part.length) return joinBytes(parts);
      if (total > MAX_DEFLATED) fail(`${name}: deflated DICOM file of more than 2 GiB; save it without deflate.`);
    }
  } finally {
    await source.close();
  }
}
