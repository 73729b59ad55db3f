import { realpath } from "node:fs/promises";
import { join, sep } from "node:path";

/** A request that is answered with a status and a sentence. */
export class RequestError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * The parts of an encoded path of an address. Throws {@link RequestError} (400) for anything that could leave a folder: empty parts,
 * "." and "..", names that begin with a dot, separators and NUL in whatever encoding, bad percent signs.
 */
export function pathParts(encoded: string): string[] {
  if (encoded === "") return [];
  return encoded.split("/").map((part) => {
    let name: string;
    try {
      name = decodeURIComponent(part);
    } catch {
      throw new RequestError(400, "The address is not encoded as it should be.");
    }
    // A drive letter or a stream of Windows would need a colon.
    const bad = name === "" || name.startsWith(".") || /[/\\\0]/.test(name) || (sep === "\\" && name.includes(":"));
    if (bad) throw new RequestError(400, "The address leads out of the folder that is shown, or to a hidden file.");
    return name;
  });
}

/**
 * The real path of a file or folder inside `root` (a real path itself). Throws {@link RequestError}: 404 where there is nothing, 403 where
 * a link leads out of the folder.
 */
export async function insideFolder(root: string, parts: readonly string[]): Promise<string> {
  const path = await realpath(join(root, ...parts)).catch(() => {
    throw new RequestError(404, `There is no ${parts.join("/")} here.`);
  });
  const base = root.endsWith(sep) ? root : root + sep;
  if (path !== root && !path.startsWith(base)) {
    throw new RequestError(403, `${parts.join("/")} is a link that leads out of the folder that is shown.`);
  }
  return path;
}
