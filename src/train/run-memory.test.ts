import { expect, test } from "vitest";
import type { Plan } from "../dataset/types.ts";
import { planMemory, planMeterMemory } from "../engine/wasm/plan-memory.ts";
import { buildGraph } from "../net/build.ts";
import { parseNet } from "../net/make.ts";
import { presetSettings, trainSpecOf } from "./presets.ts";
import { checkTeacherMemory, memoryNeed } from "./run-memory.ts";

const net = parseNet("unet:4", { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 });
const patch: [number, number, number] = [32, 32, 32];
const plan = { patch, pools: net.pools, channels: [{ name: "MRI" }], dimensions: 3, batch: 2 } as unknown as Plan;
const settings = presetSettings("strong", plan);
const step = { batch: settings.batch, window: settings.window };
const graph = buildGraph(net, { batch: step.batch, shape: step.window });

test("a run's programs are planned for its own threads, not for all processors", () => {
  for (const threads of [1, 7]) {
    const need = memoryNeed({ plan, net, settings }, 0, { threads });
    expect(need.programBytes({ ...step, lowMemory: false })).toBe(
      planMemory(graph, trainSpecOf(settings), { threads }).total,
    );
    const predicting = planMemory(buildGraph(net, { batch: 1, shape: patch }), undefined, { threads }).total;
    expect(need.fixedBytes - predicting).toBe(200 * 2 ** 20);
  }
  const bytes = (threads: number): number =>
    memoryNeed({ plan, net, settings }, 0, { threads }).programBytes({ ...step, lowMemory: false });
  expect(bytes(7)).toBeGreaterThan(bytes(1));
});

test("a run that ranks channels needs what its meter needs, where that is more", () => {
  for (const lowMemory of [false, true]) {
    const spec = trainSpecOf(settings, lowMemory);
    const bytes = (ranks: boolean): number =>
      memoryNeed({ plan, net, settings }, 0, { threads: 1, lowMemory, ranks }).programBytes({ ...step, lowMemory });
    const meter = planMeterMemory(graph, spec, { threads: 1 }).total;
    expect(meter).toBeGreaterThan(bytes(false));
    expect(bytes(true)).toBe(meter);
  }
});

test("models to learn from must fit beside the cases: a shared net once, different ones together", () => {
  const wide = parseNet("unet:16", { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 });
  const bytes = (of: typeof net): number => planMemory(buildGraph(of, { batch: 1, shape: patch }), undefined).total;
  const fits = (teachers: { net: typeof net; plan: Plan }[], available: number) =>
    checkTeacherMemory(1000, teachers, { available });
  const [small, large] = [net, wide].map((of) => ({ net: of, plan }));
  fits([small, small], 1000 + bytes(net));
  fits([small, large], 1000 + bytes(net) + bytes(wide));
  expect(() => fits([small, large], 999 + bytes(net) + bytes(wide))).toThrow(/^The models of --distil and the cases/);
  expect(() => fits([large], 999 + bytes(wide))).toThrow(/^The model of --distil .* learn from a smaller model/);
});
