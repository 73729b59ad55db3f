import { fail } from "../../util/errors.ts";

/**
 * What a program's memory holds. `weights` are the parameters as the kernels read them, `preparedWeights` the other forms that
 * passes need (transposed, transformed); `partialSums` the parts of weight gradients before they are merged; `gradients` those of
 * activations, as far as they do not fit where dead activations were; `batch` input and target, for inference input and logits.
 */
export type MemoryUse =
  | "weights"
  | "preparedWeights"
  | "weightGradients"
  | "partialSums"
  | "moments"
  | "average"
  | "activations"
  | "gradients"
  | "batch"
  | "scratch"
  | "other";

/** Bytes that a program holds, by use; the uses add up to the total. */
export interface MemoryPlan {
  total: number;
  uses: Record<MemoryUse, number>;
}

/** Hands out byte addresses of one linear memory before it exists. Everything starts as zeros. */
export interface Arena {
  /** An address aligned to 64 bytes. */
  take(bytes: number): number;
  /** The same memory, with what is taken counted for a use; else it counts as other. */
  for(use: MemoryUse): Arena;
  plan(): MemoryPlan;
  /** Throws UserError where the addresses do not reach. */
  pages(): number;
}

const PAGE = 65536;

/** Most bytes of a program: 32-bit WebAssembly memory ends at 4 GiB, and the last page stays free so that every address fits. */
export const MEMORY_LIMIT = 65535 * PAGE;

/** What to do when the memory is too small. */
export const useLess = "use a smaller patch (--patch; predict --window patch) or batch (--batch)";

const ALIGNMENT = 64;

export function createArena(): Arena {
  // Address 0 stands for nothing.
  let used = ALIGNMENT;
  const uses: MemoryPlan["uses"] = {
    weights: 0,
    preparedWeights: 0,
    weightGradients: 0,
    partialSums: 0,
    moments: 0,
    average: 0,
    activations: 0,
    gradients: 0,
    batch: 0,
    scratch: 0,
    other: ALIGNMENT,
  };
  const arena = (use: MemoryUse): Arena => ({
    take(bytes) {
      const address = used;
      const rounded = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
      used += rounded;
      uses[use] += rounded;
      return address;
    },
    for: arena,
    plan: () => ({ total: used, uses: { ...uses } }),
    pages() {
      if (used > MEMORY_LIMIT) {
        fail(
          `The net needs ${(used / 2 ** 30).toFixed(1)} GiB of memory at this patch and batch size, and the engine can address 4 GiB: ${useLess}.`,
        );
      }
      return Math.ceil(used / PAGE);
    },
  });
  return arena("other");
}

/** Reuses addresses among requests with the same key (equal layouts, so that zero halos stay zero). */
export interface Pool {
  /** `from` says where fresh memory comes from: the pool's own arena, or the same one with another use. */
  take(key: string, bytes: number, from?: Arena): number;
  give(key: string, address: number): void;
}

export function createPool(arena: Arena): Pool {
  const free = new Map<string, number[]>();
  return {
    take: (key, bytes, from = arena) => free.get(key)?.pop() ?? from.take(bytes),
    give: (key, address) => {
      const list = free.get(key) ?? [];
      list.push(address);
      free.set(key, list);
    },
  };
}
