/**
 * Memory of closed programs. V8 gives it back at some collection of garbage, which may come long after the next program was made:
 * two or three programs would lie in memory at a time where one is in use. Each thread keeps its own count.
 */

/** Bytes of closed programs that this thread may still hold. */
let closed = 0;
/** Fewer are not worth a collection, which takes some ms. */
const least = 32 * 2 ** 20;
let collect: (() => void) | undefined;

export function noteClosed(bytes: number): void {
  closed += bytes;
}

/** To be called before a program takes memory: makes V8 look for what was closed, in Node; elsewhere it must be left to the platform. */
export function freeClosed(): void {
  if (closed < least) return;
  closed = 0;
  collect ??= findCollect();
  collect();
}

function findCollect(): () => void {
  const load = globalThis.process?.getBuiltinModule;
  const [v8, vm] = [load?.("node:v8"), load?.("node:vm")];
  if (!v8 || !vm) return () => {};
  // Contexts that are made from here on have the function.
  v8.setFlagsFromString("--expose-gc");
  const found: unknown = vm.runInNewContext("globalThis.gc");
  return typeof found === "function" ? (found as () => void) : () => {};
}
