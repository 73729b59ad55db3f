import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { loadModel } from "../model/files.ts";
import { writeSafetensors } from "../model/safetensors.ts";
import { sampleModel } from "../model/sample.ts";
import { buildGraph } from "../net/build.ts";
import { doubling } from "../net/make.ts";
import { random } from "../util/random.ts";
import { importCommand } from "./import.ts";

let folder: string;
let output: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lunet-import-"));
  output = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

test("weights become a model that gives what the other program gave, or none", async () => {
  const unit = { slope: 0.1, eps: 1e-3 };
  const model = sampleModel(doubling(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2, unit }));
  const graph = buildGraph(model.net, { batch: 2, shape: [4, 4, 4] });
  const path = (name: string): string => join(folder, name);
  await writeFile(path("plan.json"), JSON.stringify(model.plan));
  const entries = graph.params.map(
    ({ name, shape }, i) => [`${i}.${name}`, { shape, data: model.tensors.get(name)! }] as const,
  );
  await writeFile(path("w"), writeSafetensors({ tensors: new Map(entries), metadata: {} }));
  const generator = random(1);
  const input = Float32Array.from({ length: 128 }, () => generator.normal());
  const program = await createReferenceBackend().inference(graph);
  program.setParameters(model.tensors);
  const given = program.logits(input);
  const writeCheck = (change: number) =>
    writeFile(
      path("io"),
      writeSafetensors({
        tensors: new Map([
          ["input", { shape: [2, 1, 4, 4, 4], data: input }],
          ["output", { shape: [2, 2, 4, 4, 4], data: given.map((v, i) => (i === 9 ? v + change : v)) }],
        ]),
        metadata: {},
      }),
    );
  const out = path("model.safetensors");
  const args = [path("w"), "--like", "unet:2", "--convs", "1", "--plan", path("plan.json"), "--out", out];
  const run = (...more: string[]) => importCommand.parseAsync([...args, ...more], { from: "user" });

  await writeCheck(0.01);
  const unitArgs = ["--slope", "0.1", "--eps", "0.001", "--check", path("io")];
  await expect(run(...unitArgs)).rejects.toThrow(/they differ by 1\.0e-2 .* nothing was written\. Check the order/);
  expect(existsSync(out)).toBe(false);

  await writeCheck(0);
  await run(...unitArgs);
  expect(output).toMatch(/^layer +weight +from +norm from\nencoder\.0\.0 +2 x 1 x 3 x 3 x 3 +encoder\.0\.0 +encoder/);
  expect(output).toMatch(/\nChecked: largest difference from output of .* \d\.\de-\d .*\nWrote .*\.\n$/);
  const read = await loadModel(out);
  expect([read.net, read.tensors, read.plan]).toEqual([model.net, model.tensors, model.plan]);
  expect(read.provenance).toMatchObject({ preset: "imported", steps: 0, trainingCases: [] });

  await expect(run("--slope", "2")).rejects.toThrow("Expected --slope to be from 0 to 1, but got 2.");
  await expect(run("--eps", "x")).rejects.toThrow("Expected --eps to be above 0 and below 1, but got NaN.");
}, 90_000); // the engine starts twice, which takes long on a busy machine
