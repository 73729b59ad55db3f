import { afterEach, describe, expect, test, vi } from "vitest";
import { UserError } from "../../util/errors.ts";
import { conformanceCases } from "../conformance-cases.ts";
import { createArena } from "./arena.ts";
import { createWasmBackend, type WasmBackend, type WasmBackendOptions } from "./backend.ts";
import { createProgramBuilder } from "./program.ts";
import { loadProgram } from "./runtime.ts";
import { createTeam } from "./team.ts";
import { tileChoices } from "./tiles.ts";

const [{ graph, spec, params, batches }] = conformanceCases();
const { input } = batches[0];
const started: { close(): Promise<void> }[] = [];
const start = async (options: WasmBackendOptions = {}): Promise<WasmBackend> => {
  const backend = await createWasmBackend({ threads: 2, tiles: "mul-add-128", ...options });
  started.push(backend);
  return backend;
};
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  for (const each of started.splice(0)) await each.close();
});

const logitsOf = async (backend: WasmBackend): Promise<Float32Array> => {
  const program = await backend.inference(graph);
  program.setParameters(params);
  return program.logits(input);
};

test("programs that compile at the same time do not mix", async () => {
  const backend = await start({ threads: 3 });
  const alone = await logitsOf(backend);
  const together = await Promise.all(Array.from({ length: 4 }, () => logitsOf(backend)));
  for (const logits of together) expect(logits).toEqual(alone);
});

test("without shared memory all runs on the calling thread, with the same bits", async () => {
  const shared = await logitsOf(await start());
  vi.stubGlobal("SharedArrayBuffer", undefined);
  const backend = await start({ threads: 4 });
  expect(backend.threads).toBe(1);
  expect(await logitsOf(backend)).toEqual(shared);
});

test.each([0, 1.5, Number.NaN])("%d threads are refused", async (threads) => {
  await expect(start({ threads })).rejects.toThrow(
    `Expected a whole number of compute threads, 1 or more, but got ${threads}.`,
  );
});

test("closed programs and closed backends say so instead of waiting for ever", async () => {
  const backend = await start();
  const [inference, trainer] = [await backend.inference(graph), await backend.trainer(graph, spec)];
  inference.setParameters(params);
  inference.close();
  inference.close();
  expect(() => inference.logits(input)).toThrow("Expected an open program, but this one was closed");
  await backend.close();
  expect(() => trainer.step(batches[0], { learningRate: 1 })).toThrow("Expected an open backend");
  await expect(backend.inference(graph)).rejects.toThrow("Expected an open backend");
});

test("memory that the system does not give is an error in words", async () => {
  const backend = await start();
  class Refusing {
    constructor() {
      throw new RangeError("could not allocate memory");
    }
  }
  vi.spyOn(WebAssembly, "Memory").mockImplementation(Refusing as unknown as typeof WebAssembly.Memory);
  const refused = backend.trainer(graph, spec);
  await expect(refused).rejects.toThrow(UserError);
  await expect(refused).rejects.toThrow(/needs \d+ MiB at this patch and batch size, and the system did not give them/);
});

describe("a task that fails", () => {
  test.each([1, 2])("on %i threads reaches the caller, and the next program runs", async (threads) => {
    const team = createTeam(threads);
    started.push(team);
    const load = async (bad: boolean) => {
      const arena = createArena();
      const control = arena.take(64);
      const b = createProgramBuilder(tileChoices["mul-add-128"], arena);
      const to = arena.take(64);
      const times = bad ? 2 ** 26 : 1;
      // Copies that go beyond the memory's end throw a RangeError; 8 tasks, so that both threads meet one.
      b.stage(Array.from({ length: 8 }, () => [b.op({ op: "repeatBias", from: control, to, padded: 4, times })]));
      b.stage([[b.op({ op: "zero", address: to, bytes: 64 })]]);
      return { program: await loadProgram(b, arena, control, team), stages: b.stageCount() };
    };
    const good = await load(false);
    const bad = await load(true);
    expect(() => bad.program.run(0, bad.stages)).toThrow(/offset is out of bounds/);
    expect(() => good.program.run(0, good.stages)).not.toThrow();
    expect(() => bad.program.run(0, bad.stages)).toThrow();
  });
});
