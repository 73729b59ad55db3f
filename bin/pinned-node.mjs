import { existsSync } from "node:fs";
import { join } from "node:path";

/** The program of the npm package `node` in a checkout, or undefined where it is not installed. */
export function pinnedNode(root) {
  const bin = join(root, "node_modules", "node", "bin");
  return [join(bin, "node.exe"), join(bin, "node")].find(
    (path) => existsSync(path) && (process.platform === "win32") === path.endsWith(".exe"),
  );
}
