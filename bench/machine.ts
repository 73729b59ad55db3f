import { spawnSync } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";

/** What a run was measured on. */
export interface Machine {
  processor: string;
  processors: number;
  platform: string;
  node: string;
}

export function thisMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: availableParallelism(),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
  };
}

/** The checkout's commit, with "+" where files differ from it; null without git. */
export function thisCommit(): string | null {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const git = (...args: string[]): string | null => {
    const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
    return status === 0 ? stdout.trim() : null;
  };
  const commit = git("rev-parse", "--short", "HEAD");
  return commit && commit + (git("status", "--porcelain", "--untracked-files=no") ? "+" : "");
}
