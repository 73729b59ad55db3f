import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** Who holds a lock. */
export interface Holder {
  pid: number;
  host: string;
  /** Start of the process in the system's own count (Linux), so that a later process with the same number is told apart. */
  began: string | null;
}

export interface Lock {
  release(): void;
}

/** A holder on another machine shows that it lives by touching its lock; this long without a touch it is dead, in ms. */
const silence = 120_000;
const touchEvery = 20_000;
/** A lock without a name in it is being written, unless it is older than this, in ms. */
const writing = 5_000;

/**
 * Takes the lock file at `path`, or says who holds it. A lock whose holder is gone (killed, or its machine silent for two
 * minutes) is taken over.
 */
export async function takeLock(path: string): Promise<Lock | { heldBy: Holder }> {
  for (;;) {
    if (create(path)) return hold(path);
    const holder = lockHolder(path);
    if (holder) return { heldBy: holder };
    if (takeOver(path)) return hold(path);
    await sleep(50);
  }
}

/** As {@link takeLock}, but waits while another process has it, asking every so many ms; null where the signal comes first. */
export async function waitForLock(
  path: string,
  { every = 1000, signal }: { every?: number; signal?: AbortSignal } = {},
): Promise<Lock | null> {
  for (;;) {
    const lock = await takeLock(path);
    if ("release" in lock) return lock;
    if (signal?.aborted) return null;
    await sleep(every);
  }
}

/** The living holder of a lock; null where there is none. */
export function lockHolder(path: string): Holder | null {
  const found = read(path);
  if (!found) return null;
  const { holder, age } = found;
  if (!holder) return age < writing ? { pid: 0, host: "another process", began: null } : null;
  if (holder.host !== hostname()) return age < silence ? holder : null;
  return isAlive(holder) ? holder : null;
}

function create(path: string): boolean {
  const holder: Holder = { pid: process.pid, host: hostname(), began: startOf(process.pid) };
  try {
    writeFileSync(path, JSON.stringify(holder), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function hold(path: string): Lock {
  const timer = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date());
    } catch {
      // The folder was taken away; whoever writes into it next says so.
    }
  }, touchEvery);
  timer.unref();
  const drop = (): void => {
    const now = read(path)?.holder;
    if (now?.pid === process.pid && now.host === hostname()) rmSync(path, { force: true });
  };
  process.once("exit", drop);
  return {
    release() {
      clearInterval(timer);
      process.off("exit", drop);
      drop();
    },
  };
}

/**
 * Puts a lock of one's own in the place of a dead one. Many may find the same dead lock at once: only the one that made the
 * guard file may, and it never leaves the place empty. A guard that is left over by a kill goes by its age.
 */
function takeOver(path: string): boolean {
  const guard = `${path}.guard`;
  if (!create(guard)) {
    const left = read(guard);
    if (left && left.age > writing) rmSync(guard, { force: true });
    return false;
  }
  if (read(path) && !lockHolder(path)) {
    renameSync(guard, path);
    return true;
  }
  rmSync(guard, { force: true });
  return false;
}

function read(path: string): { holder: Holder | null; age: number } | null {
  try {
    const age = Date.now() - statSync(path).mtimeMs;
    return { holder: parse(readFileSync(path, "utf8")), age };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function parse(text: string): Holder | null {
  try {
    const value = JSON.parse(text) as Holder | null;
    return typeof value?.pid === "number" && typeof value.host === "string" ? value : null;
  } catch {
    return null;
  }
}

function isAlive({ pid, began }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Not ours to signal, but there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  const now = startOf(pid);
  return began === null || now === null || now === began;
}

/** Field 22 of /proc/PID/stat: when the process started, in ticks since boot. Null where there is no such file. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, in brackets, may hold spaces.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
