import type { PredictInput } from "../predict/files.ts";
import { UserError } from "../util/errors.ts";
import { type Outcome, startWorker, type Worker } from "./case.ts";
import type { BatchOrder } from "./order.ts";

/** What a process of a batch is sent: the order first, then cases, one at a time, and perhaps the word to stop. */
export type ToProcess = { kind: "order"; order: BatchOrder } | { kind: "case"; input: PredictInput } | { kind: "stop" };

/** What it sends back; `refused` is a mistake of the user that no case can do without. */
export type FromProcess =
  | { kind: "ready" }
  | { kind: "refused"; message: string }
  | { kind: "live"; text: string }
  | { kind: "outcome"; outcome: Outcome };

const send = (message: FromProcess): void => {
  if (process.connected) process.send!(message);
};

const stopper = new AbortController();
let worker: Worker | undefined;
// A terminal sends Ctrl-C to this process too, but its parent decides. Without a parent there is nobody to work for.
process
  .on("SIGINT", () => {})
  .on("SIGTERM", () => {})
  .on("disconnect", () => process.exit(0));
process.on("message", async (message: ToProcess) => {
  if (message.kind === "stop") {
    stopper.abort();
    return;
  }
  if (message.kind === "case") {
    const outcome = await worker!.predict(message.input, (text) => send({ kind: "live", text }));
    send({ kind: "outcome", outcome });
    return;
  }
  try {
    worker = await startWorker(message.order, stopper.signal);
    send({ kind: "ready" });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    send({ kind: "refused", message: error.message });
  }
});
