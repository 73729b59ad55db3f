import { fail, UserError } from "../util/errors.ts";

export interface ZipEntry {
  path: string;
  bytes: Uint8Array;
}

/** Unpacked bytes of an archive beyond which it is refused. */
const MAX_UNPACKED = 2 ** 32;

/** True when the bytes begin as an archive of files does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/**
 * The files of a zip archive, unpacked in memory: nothing is written, so that names cannot lead anywhere. Throws a UserError that begins
 * with `name` for a damaged archive, or one whose directory announces more than 4 GiB.
 */
export async function readZip(bytes: Uint8Array, name: string): Promise<ZipEntry[]> {
  const { unzipSync } = await import("fflate");
  let total = 0;
  try {
    const files = unzipSync(bytes, {
      filter: ({ name: path, originalSize, size }) => {
        if (path.endsWith("/")) return false;
        total += originalSize;
        if (total > MAX_UNPACKED || originalSize > size * 1032 + 1024) {
          fail(
            `${name}: the archive announces ${total} unpacked bytes, more than it can hold; it is damaged or hostile.`,
          );
        }
        return true;
      },
    });
    return Object.entries(files).map(([path, content]) => ({ path, bytes: content }));
  } catch (error) {
    if (error instanceof UserError) throw error;
    return fail(`${name}: damaged zip archive (${error instanceof Error ? error.message : error}); copy it again.`);
  }
}
