import { join } from "node:path";
import { stoppedCode } from "../study/sbatch.ts";
import { createProgress } from "../train/progress.ts";
import { UserError } from "../util/errors.ts";
import { readRecords, recordName } from "./record.ts";
import { keepMeasures } from "./run.ts";
import { collectShares, readShared, runShare } from "./shares.ts";
import { standingOf } from "./standing.ts";
import { outcomeText } from "./text.ts";

// What Slurm runs: `task FOLDER K` predicts share K of the batch in a folder, `task FOLDER report` collects what came of all.
const [out, what] = process.argv.slice(2);
const stopper = new AbortController();
process.on("SIGINT", () => stopper.abort()).on("SIGTERM", () => stopper.abort());
try {
  process.exitCode = what === "report" ? await report() : await share(Number(what));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`lunet: ${error.message}\n`);
  process.exitCode = 1;
}

async function share(number: number): Promise<number> {
  const progress = createProgress(process.stderr);
  const { ended, faults, stopped } = await runShare(out, number, { progress, signal: stopper.signal });
  for (const fault of faults) process.stderr.write(`${fault.stack}\n`);
  if (stopped) return stoppedCode;
  return ended.some(({ state }) => state === "failed") ? 1 : 0;
}

async function report(): Promise<number> {
  await collectShares(out);
  const { order, inputs } = await readShared(out);
  const records = await readRecords(join(out, recordName));
  const { done } = await standingOf(inputs, records, order);
  await keepMeasures(out, done);
  const failed = inputs.flatMap(({ id }) => {
    const record = records.get(id);
    return record?.state === "failed" ? [record] : [];
  });
  process.stdout.write(`${outcomeText({ done: done.length, failed, before: 0 }, { total: inputs.length, out })}\n`);
  return done.length < inputs.length ? 1 : 0;
}
