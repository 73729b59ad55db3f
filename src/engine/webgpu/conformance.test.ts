import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnGpu, newDevice } from "../../../test/webgpu.fixture.ts";
import { createBackend } from "../backend.ts";
import { conformanceCases, defaultTolerances, runConformance } from "../conformance.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import type { Backend } from "../types.ts";
import { chosenCases, tolerancesOf } from "./conformance-cases.ts";

const cases = conformanceCases();

const trained =
  process.env.LUNET_CONFORMANCE === "all" ? cases : cases.filter(({ name }) => chosenCases.includes(name));

test("the chosen cases are there, and meet every term of the loss, every optimiser and dropout", () => {
  const few = cases.filter(({ name }) => chosenCases.includes(name));
  expect(few.length).toBe(chosenCases.length);
  const seen = new Set(
    few.flatMap(({ spec, dropout, graph }) => [
      ...Object.entries(spec.loss)
        .filter(([, value]) => value)
        .map(([term]) => `${graph.outputKind} ${term}`),
      spec.optimiser.kind,
      dropout ? "dropout" : "no dropout",
      spec.clip > 0 ? "clip" : "no clip",
      spec.ema > 0 ? "ema" : "no ema",
    ]),
  );
  const terms = ["dice", "crossEntropy", "focal", "tversky", "distil", "labelSmoothing", "classWeights"];
  const expected = ["softmax", "sigmoid"].flatMap((kind) => terms.map((term) => `${kind} ${term}`));
  const others = ["sgd", "adam", "adamw", "dropout", "no dropout", "clip", "no clip", "ema", "no ema"];
  expect([...expected, ...others].filter((name) => !seen.has(name))).toEqual([]);
});

describeOnGpu("webgpu", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend({ name: "webgpu", device: await newDevice() });
  });
  afterAll(() => backend?.close());

  test("inference agrees with the reference on all cases", async () => {
    const reference = createReferenceBackend();
    const errors = new Map<string, number>();
    for (const { name, graph, params, batches } of cases) {
      const [truth, found] = await Promise.all(
        [reference, backend].map(async (each) => {
          const program = await each.inference(graph);
          program.setParameters(params);
          const logits = await program.logits(batches[0].input);
          program.close();
          return logits;
        }),
      );
      const top = truth.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const error = truth.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / top;
      if (!(error <= defaultTolerances.logits)) errors.set(name, error);
    }
    expect(errors).toEqual(new Map());
  }, 600_000);

  test.each(trained)("$name", async (each) => {
    const { problems } = await runConformance(backend, each, tolerancesOf(each.name));
    expect(problems).toEqual([]);
  });
});
