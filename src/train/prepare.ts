import { prepareDataset } from "../dataset/load.ts";
import type { PreparedCase } from "../dataset/types.ts";
import { shareCase } from "./loader.ts";
import type { Progress } from "./progress.ts";
import type { RunSetup } from "./setup.ts";

/** The cases of a run in memory; those that train are shared with the loader's thread. */
export async function prepareCases(
  { dataset, plan, trainingCases, validationCases }: RunSetup,
  progress: Progress,
): Promise<{ training: PreparedCase[]; validation: PreparedCase[] }> {
  const all = trainingCases.length + validationCases.length;
  const read = (ids: string[], before: number): Promise<PreparedCase[]> =>
    prepareDataset(dataset, plan, {
      ids,
      onProgress: (done) => progress.live(`preparing cases ${before + done}/${all}`),
    });
  const training = await read(trainingCases, 0);
  // One at a time, so that the copies do not pile up.
  for (let i = 0; i < training.length; i++) training[i] = shareCase(training[i]);
  return { training, validation: await read(validationCases, trainingCases.length) };
}
