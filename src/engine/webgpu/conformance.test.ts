import { afterAll, beforeAll, expect, test } from "vitest";
import { createBackend } from "../backend.ts";
import { conformanceCases, defaultTolerances, runConformance } from "../conformance.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import type { Backend } from "../types.ts";
import { describeOnGpu, newDevice } from "./testing.ts";

const cases = conformanceCases();

/**
 * A GPU in software makes half a GFLOP/s: all cases take minutes, so only these, every kind of kernel, unit, loss and optimiser among them, are
 * trained in every run of the tests; LUNET_CONFORMANCE=all trains all. Inference is checked on all cases always.
 */
const chosen = [
  "width 3",
  "width 13",
  "width 24 then 64 then 1",
  "one voxel wide",
  "batch 3",
  "kernel 1x3x3",
  "kernel 3x1x3",
  "kernel 3x3x1",
  "kernel 1x1x1",
  "pool 2x2x2",
  "pool 1x2x2",
  "pool 2x1x1",
  "two sources 3 + 5",
  "inner skip only",
  "conv-act-norm, instance, slope 0.01",
  "conv-act-norm, none, slope 0",
  "conv-norm-act, batch, slope 0.01",
  "conv-norm-act, instance, slope 0",
  "conv-norm-act, none, slope 0.01",
  "softmax 5",
  "sigmoid 3",
  "input read by a pool and a skip",
  "softmax 70",
  "sigmoid 8",
  "heads at 2 levels, regions",
];
const trained = process.env.LUNET_CONFORMANCE === "all" ? cases : cases.filter(({ name }) => chosen.includes(name));

/**
 * In the second step of this case one input of a ReLU is 2e-7, where the largest are 8.7: less than float32 tells from 0, so that
 * rounding decides whether a gradient flows through it, and the gradient's norm moves by 4e-4.
 */
const wider = new Map([["plane 9x8x16", { ...defaultTolerances, loss: 1e-3 }]]);

test("the chosen cases are there, and meet every term of the loss, every optimiser and dropout", () => {
  const few = cases.filter(({ name }) => chosen.includes(name));
  expect(few.length).toBe(chosen.length);
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
  });

  test.each(trained)("$name", async (each) => {
    const { problems } = await runConformance(backend, each, wider.get(each.name));
    expect(problems).toEqual([]);
  });
});
