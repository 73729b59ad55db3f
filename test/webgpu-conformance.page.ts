import { createBackend } from "../src/engine/backend.ts";
import { conformanceCases, runConformance } from "../src/engine/conformance.ts";
import { tolerancesOf } from "../src/engine/webgpu/conformance-cases.ts";

/** Runs cases of the conformance suite, all or those named, on WebGPU in a page: a sentence for each breach, by case. */
async function runCases(names?: string[]): Promise<{ ran: number; problems: Record<string, string[]> }> {
  const backend = await createBackend({ name: "webgpu" });
  const problems: Record<string, string[]> = {};
  const cases = conformanceCases().filter(({ name }) => !names || names.includes(name));
  for (const each of cases) {
    const result = await runConformance(backend, each, tolerancesOf(each.name));
    if (result.problems.length > 0) problems[each.name] = result.problems;
  }
  await backend.close();
  return { ran: cases.length, problems };
}

Object.assign(globalThis, { runCases });
