import { expect, test } from "vitest";
import type { Job } from "./cases.ts";
import { measurementOf, runNode, runTorch } from "./child.ts";

const job: Job = {
  ...{ net: "lean:3", mode: "infer", dimensions: 2, size: 16, batch: 1 },
  ...{ threads: 1, warmup: 1, reps: 2, engine: "wasm" },
} as const;
const settings = { layout: "last", jit: "ofi" } as const;

test("the last line counts, and what is no measurement is none", () => {
  expect(measurementOf('a warning\n{"ms":[1,2],"value":0.5}\n')).toMatchObject({ ms: [1, 2] });
  for (const out of ["", "done\n", "{}", '{"ms":[]}', "null"]) expect(measurementOf(out)).toBeUndefined();
});

test("our engine and onnxruntime do the same work on a 2D net", async () => {
  const ours = await runNode("lunet", job);
  expect(ours).toMatchObject({ ms: { length: 2 }, version: `node ${process.versions.node}` });
  expect(ours.firstMs).toBeGreaterThan(0);
  const theirs = await runNode("onnxruntime", job);
  // Probabilities of two float32 programs.
  expect(theirs.value).toBeCloseTo(ours.value, 4);
});

test("a child that fails or does not start is reported with its reason", async () => {
  await expect(runNode("lunet", { ...job, net: "lean:0" })).rejects.toThrow(
    "lunet ended with 1: UserError: Expected width of the net to be a whole number from 1 to 1024, but got 0.",
  );
  await expect(runTorch("no-such-python", job, settings)).rejects.toThrow("torch did not start: spawn no-such-python");
});

test.skipIf(process.platform === "win32")("a child that ends well without a measurement is reported", async () => {
  // Windows has no program that prints its arguments.
  await expect(runTorch("echo", job, settings)).rejects.toThrow(
    /^torch ended without a measurement as its last line: .*--widths 3,3,3,3,3 --mode infer --dims 2/,
  );
});
