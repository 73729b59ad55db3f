import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { takeLock } from "../study/lock.ts";
import type { RunFile } from "../train/run-folder.ts";
import { type TrainOptions, trainNet } from "../train/train.ts";
import { fail, UserError } from "../util/errors.ts";

/** What the process of a fold is sent first: options that survive the way to another process. */
export type FoldOrder = Omit<TrainOptions, "progress" | "signal" | "onBegin">;

/** What it sends back. */
export type FoldMessage =
  | { kind: "say" | "live"; text: string }
  | { kind: "begin" }
  | { kind: "done"; run: RunFile }
  /** A mistake of the user; a fault of the program ends the process with its stack instead. */
  | { kind: "failed"; message: string };

/** How long to wait for a process that was told to stop and has the fold still, in ms. */
const patience = 60_000;

const send = (message: FoldMessage): void => {
  if (process.connected) process.send!(message);
};

/** The order first, then perhaps the word to stop, which also a parent that is gone gives. */
const stopper = new AbortController();
let begun = false;
const stop = (): void => {
  if (!begun) process.exit(0); // nothing is there to keep
  stopper.abort();
};
// A terminal sends Ctrl-C to this process too, but its parent decides.
process
  .on("SIGINT", () => {})
  .on("SIGTERM", stop)
  .on("disconnect", stop);
process.once("message", async (order: FoldOrder) => {
  process.on("message", stop);
  const last = await outcomeOf(order);
  process.off("disconnect", stop);
  // Once it is sent: what waits to be sent is lost when the channel closes.
  if (process.connected) process.send!(last, () => process.disconnect?.());
});

async function outcomeOf(order: FoldOrder): Promise<FoldMessage> {
  try {
    return { kind: "done", run: await doFold(order) };
  } catch (error) {
    if (error instanceof UserError) return { kind: "failed", message: error.message };
    throw error;
  }
}

async function doFold(order: FoldOrder): Promise<RunFile> {
  await mkdir(order.out, { recursive: true });
  const until = performance.now() + patience;
  const path = `${order.out}.lock`;
  let lock = await takeLock(path);
  while ("heldBy" in lock && performance.now() < until) {
    send({ kind: "live", text: `waiting for process ${lock.heldBy.pid}, which trains this fold` });
    await sleep(500);
    lock = await takeLock(path);
  }
  if ("heldBy" in lock) {
    const { pid, host } = lock.heldBy;
    fail(`The run in ${order.out} is being trained by process ${pid} on ${host}; wait for it to end, or stop it.`);
  }
  try {
    const { run } = await trainNet({
      ...order,
      signal: stopper.signal,
      progress: {
        say: (text) => send({ kind: "say", text }),
        live: (text) => send({ kind: "live", text }),
        close: () => {},
      },
      onBegin: () => {
        begun = true;
        send({ kind: "begin" });
      },
    });
    return run;
  } finally {
    lock.release();
  }
}
