import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BackendOptions, createBackend } from "./backend.ts";
import { type ConformanceCase, conformanceCases, runConformance } from "./conformance.ts";
import { createReferenceBackend } from "./reference/backend.ts";
import type { Backend, TensorMap, Trainer } from "./types.ts";
import type { WasmBackend } from "./wasm/backend.ts";

const cases = conformanceCases();
/** Parameters after 3 steps on one thread, by tiles and case. */
const finals = new Map<string, TensorMap>();

/** Every kernel variant that can be chosen, forced one by one on one thread, then the probe's own choice on two. */
const rows: BackendOptions[] = [
  { name: "reference" },
  ...(["merged-256", "fma-128", "mul-add-128"] as const).flatMap((tiles) =>
    [true, false].map((winograd) => ({ name: "wasm" as const, threads: 1, tiles, winograd })),
  ),
  { name: "wasm", threads: 2 },
];
for (const row of rows) {
  const title = Object.entries(row).map(([key, value]) => (key === "name" ? String(value) : `${key} ${value}`));
  describe(title.join(", "), () => {
    let backend: Backend | undefined;
    beforeAll(async () => {
      backend = await createBackend(row);
    });
    afterAll(() => backend?.close());
    test.each(cases)("$name", async (each) => {
      const { problems, parameters } = await runConformance(backend!, each);
      expect(problems).toEqual([]);
      if (row.winograd) finals.set(`${row.tiles} ${each.name}`, parameters);
      if (row.threads === 2) {
        const one = finals.get(`${(backend as WasmBackend).tiles.name} ${each.name}`);
        expect(one, "this compares with the rows on one thread: run the whole file").toBeDefined();
        expect(parameters, "bits of one and of two threads").toEqual(one);
      }
    });
  });
}

describe("the suite catches", () => {
  /** The reference with one thing broken. */
  const broken = (change: (trainer: Trainer) => Partial<Trainer>): Backend => {
    const backend = createReferenceBackend();
    return {
      ...backend,
      trainer: async (graph, spec) => {
        const trainer = await backend.trainer(graph, spec);
        return { ...trainer, ...change(trainer) };
      },
    };
  };
  const named = (name: string): ConformanceCase => cases.find((each) => each.name === name)!;
  const problemsOf = async (backend: Backend, name: string): Promise<string> =>
    (await runConformance(backend, named(name))).problems.join("; ");

  test("one gradient entry off by 1 %", async () => {
    const backend = broken((trainer) => ({
      gradients: (batch, options) => {
        const result = trainer.gradients(batch, options);
        const weight = result.gradients.get("head.weight")!;
        weight[weight.reduce((top, value, i) => (Math.abs(value) > Math.abs(weight[top]) ? i : top), 0)] *= 1.01;
        return result;
      },
    }));
    expect(await problemsOf(backend, "width 3")).toMatch("gradient of head.weight");
  });

  test("a learning rate off by 1 %", async () => {
    const backend = broken((trainer) => ({
      step: (batch, options) => trainer.step(batch, { ...options, learningRate: options.learningRate * 1.01 }),
    }));
    expect(await problemsOf(backend, "width 3")).toMatch("after 3 steps");
  });

  test("dropout left out", async () => {
    const backend = broken((trainer) => ({
      step: (batch, { learningRate }) => trainer.step(batch, { learningRate }),
      gradients: (batch) => trainer.gradients(batch),
    }));
    const name = cases.find((each) => each.dropout)!.name;
    expect(await problemsOf(backend, name)).toMatch(/loss.*gradient of/);
  });

  test("a state that is not restored", async () => {
    const backend = broken(() => ({ setState: () => {} }));
    expect(await problemsOf(backend, "width 3")).toMatch("getParameters() differs after a resume");
  });

  test("a logits buffer that is handed out twice", async () => {
    const reference = createReferenceBackend();
    const backend: Backend = {
      ...reference,
      inference: async (graph) => {
        const program = await reference.inference(graph);
        let held: Float32Array | undefined;
        const logits = (input: Float32Array): Float32Array => {
          const fresh = program.logits(input);
          held ??= fresh;
          held.set(fresh);
          return held;
        };
        return { ...program, logits };
      },
    };
    expect(await problemsOf(backend, "width 3")).toMatch("changed by a later call");
  });
});
