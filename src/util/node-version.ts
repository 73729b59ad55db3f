import { fail } from "./errors.ts";
import { warnOnce } from "./warn.ts";

/** The first Node with all that lunet calls (process.getBuiltinModule); bin/lunet.mjs and package.json name it too. */
const oldest = [22, 3];

/**
 * Throws a UserError on a Node that lunet does not run on, and says once on stderr that one before 24 is slow. Browsers pass. `version` is
 * that of the running Node, "22.3.0".
 */
export function checkNode(version: string | undefined = globalThis.process?.versions?.node): void {
  if (!version) return;
  const [major, minor] = version.split(".").map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    fail(
      `lunet needs Node ${oldest.join(".")} or newer, and this is ${version}; install a newer Node (24 or newer is the fastest).`,
    );
  }
  // Measured: their compilers keep vectors out of registers (docs/explanation.md).
  if (major < 24) warnOnce(`Note: Node ${version} runs lunet's engine about three times slower than Node 24 or newer.`);
}
