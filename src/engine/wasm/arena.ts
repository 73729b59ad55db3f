import { fail } from "../../util/errors.ts";

/** Hands out byte addresses of one linear memory before it exists. Everything starts as zeros. */
export interface Arena {
  /** An address aligned to 64 bytes. */
  take(bytes: number): number;
  bytes(): number;
  pages(): number;
}

/** 32-bit WebAssembly memory ends at 4 GiB; the last page stays free so that every address fits. */
const LIMIT = 65535 * 65536;

/** What to do when the memory is too small. */
export const useLess = "use a smaller patch (--patch; predict --window patch) or batch (--batch)";

export function createArena(): Arena {
  let used = 64;
  return {
    take(bytes) {
      const address = used;
      used += Math.ceil(bytes / 64) * 64;
      if (used > LIMIT) {
        fail(
          `The net needs more than ${(used / 2 ** 30).toFixed(1)} GiB of memory at this patch and batch size, and the engine can address 4 GiB: ${useLess}.`,
        );
      }
      return address;
    },
    bytes: () => used,
    pages: () => Math.ceil(used / 65536),
  };
}

/** Reuses addresses among requests with the same key (equal layouts, so that zero halos stay zero). */
export interface Pool {
  take(key: string, bytes: number): number;
  give(key: string, address: number): void;
}

export function createPool(arena: Arena): Pool {
  const free = new Map<string, number[]>();
  return {
    take: (key, bytes) => free.get(key)?.pop() ?? arena.take(bytes),
    give: (key, address) => {
      const list = free.get(key) ?? [];
      list.push(address);
      free.set(key, list);
    },
  };
}
