import { resolve } from "node:path";
import { writeReport } from "../study/report.ts";
import { UserError } from "../util/errors.ts";
import { predictCases } from "./predict-cases.ts";
import type { JobMessage, JobOrder } from "./types.ts";

/**
 * The process of a job: its order comes first, and the loss of the parent ends it. Predictions that are finished stay.
 */
const send = (message: JobMessage): void => {
  if (process.connected) process.send!(message);
};

// A terminal sends Ctrl-C to this process too, but its parent decides.
process
  .on("SIGINT", () => {})
  .on("SIGTERM", () => process.exit(0))
  .on("disconnect", () => process.exit(0));
process.once("message", async ({ kind, path }: JobOrder) => {
  const last = await outcomeOf(kind, resolve(path));
  // Once it is sent: what waits to be sent is lost when the channel closes.
  if (process.connected) process.send!(last, () => process.exit(0));
});

async function outcomeOf(kind: JobOrder["kind"], folder: string): Promise<JobMessage> {
  try {
    if (kind === "report") {
      const { missing } = await writeReport(folder);
      return { kind: "done", message: missing ?? "" };
    }
    const failed = await predictCases(folder, (done, total) => send({ kind: "progress", done, total }));
    return { kind: "done", message: failed };
  } catch (error) {
    if (error instanceof UserError) return { kind: "failed", message: error.message };
    throw error;
  }
}
