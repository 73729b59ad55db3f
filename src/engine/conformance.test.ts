import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BackendOptions, createBackend } from "./backend.ts";
import { type ConformanceCase, type ConformanceResult, conformanceCases, runConformance } from "./conformance.ts";
import { createReferenceBackend } from "./reference/backend.ts";
import type { Backend, ChannelMeter, Immediate, Trainer } from "./types.ts";

const cases = conformanceCases();
/** Parameters after 3 steps and a meter's sums on one thread, with the probe's own choice, by case. */
const finals = new Map<string, Pick<ConformanceResult, "parameters" | "sums">>();

/**
 * Every kernel variant that can be chosen, forced one by one on one thread, then the probe's own choice on one and on two: with all
 * activations kept, and with some made again.
 */
const rows: (BackendOptions & { recompute?: boolean })[] = [
  { name: "reference" },
  ...(["merged-256", "fma-128", "mul-add-128"] as const).flatMap((tiles) =>
    ([4, 2, false] as const).map((winograd) => ({ name: "wasm" as const, threads: 1, tiles, winograd })),
  ),
  { name: "wasm", threads: 1 },
  { name: "wasm", threads: 2 },
  { name: "wasm", threads: 2, recompute: true },
];
for (const row of rows) {
  const title = Object.entries(row).map(([key, value]) => (key === "name" ? String(value) : `${key} ${value}`));
  describe(title.join(", "), () => {
    let backend: Backend | undefined;
    beforeAll(async () => {
      const made = await createBackend(row);
      const { recompute } = row;
      backend = {
        ...made,
        trainer: (graph, spec) => made.trainer(graph, { ...spec, recompute }),
        meter: (graph, loss) => made.meter(graph, loss, recompute),
      };
    });
    afterAll(() => backend?.close());
    test.each(cases)("$name", async (each) => {
      const { problems, parameters, sums } = await runConformance(backend!, each);
      expect(problems).toEqual([]);
      if (row.threads === 1 && !row.tiles) finals.set(each.name, { parameters, sums });
      if (row.threads === 2) {
        const one = finals.get(each.name);
        expect(one, "this compares with the rows on one thread: run the whole file").toBeDefined();
        expect({ parameters, sums }, "bits of one and of two threads").toEqual(one);
      }
    });
  });
}

describe("the suite catches", () => {
  /** The reference with one thing broken. */
  const broken = (change: (trainer: Immediate<Trainer>) => Partial<Trainer>): Backend => {
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

  /** The reference with its meter's results changed. */
  const meteredBy = (change: (meter: Immediate<ChannelMeter>) => Partial<ChannelMeter>): Backend => {
    const backend = createReferenceBackend();
    return {
      ...backend,
      meter: async (graph, loss) => {
        const meter = await backend.meter(graph, loss);
        return { ...meter, ...change(meter) };
      },
    };
  };

  test.each(["l1", "l2", "taylor"] as const)("%s of one channel off by 1 %%", async (kind) => {
    const backend = meteredBy((meter) => ({
      measure: (batch, options) => {
        const result = meter.measure(batch, options);
        const sums = result.channels.get("decoder.0.up")![kind];
        sums[sums.reduce((top, value, i) => (Math.abs(value) > Math.abs(sums[top]) ? i : top), 0)] *= 1.01;
        return result;
      },
    }));
    expect(await problemsOf(backend, "no skips")).toMatch(`${kind} of decoder.0.up`);
  });

  test("sums that go on from the batch before", async () => {
    const backend = meteredBy((meter) => {
      let before: Float64Array | undefined;
      const measure: Immediate<ChannelMeter>["measure"] = (batch, options) => {
        const result = meter.measure(batch, options);
        const { l2 } = result.channels.get("bottleneck.0")!;
        before?.forEach((value, i) => {
          l2[i] += value;
        });
        before = l2;
        return result;
      };
      return { measure };
    });
    expect(await problemsOf(backend, "width 3")).toMatch("the same batch gave other sums after another batch");
  });

  test("a meter without dropout, and one of the head", async () => {
    const name = cases.find((each) => each.dropout)!.name;
    const deaf = meteredBy((meter) => ({ measure: (batch) => meter.measure(batch) }));
    expect(await problemsOf(deaf, name)).toMatch(/loss.*(l1|l2|taylor) of/);
    const headed = meteredBy((meter) => ({
      measure: (batch, options) => {
        const { loss, channels } = meter.measure(batch, options);
        return { loss, channels: new Map([...channels, ["head", channels.get("bottleneck.0")!]]) };
      },
    }));
    expect(await problemsOf(headed, "width 3")).toMatch(/expected sums of .*, but got .*head/);
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
