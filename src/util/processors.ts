/** Processors of this machine, as far as the platform tells. */
export function processors(): number {
  const os = globalThis.process?.getBuiltinModule?.("node:os");
  return globalThis.navigator?.hardwareConcurrency ?? os?.availableParallelism() ?? 1;
}
