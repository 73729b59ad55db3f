import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { loadModel, saveModel } from "../model/files.ts";
import { readSafetensors } from "../model/safetensors.ts";
import { sampleModel } from "../model/sample.ts";
import { buildGraph } from "../net/build.ts";
import { flat, parseNet } from "../net/make.ts";
import { lunet } from "./testing.ts";

/** A Python with its packages is not on every machine: LUNET_TEST_PYTHON names one, else python3 is tried. */
const python = process.env.LUNET_TEST_PYTHON || "python3";
const has = (packages: string): boolean => spawnSync(python, ["-c", `import ${packages}`]).status === 0;
const numpy = has("safetensors, numpy");
const torch = numpy && has("torch");
const reason = (there: boolean, what: string): string =>
  there ? "" : ` (skipped: ${python} has no ${what}; LUNET_TEST_PYTHON may name one that does)`;

const folder = mkdtempSync(join(tmpdir(), "lunet-python-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = sampleModel(flat(2, { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 }));
const file = join(folder, "runs/lean8/model.safetensors");
beforeAll(async () => {
  await saveModel(file, model);
  writeFileSync(join(folder, "plan.json"), JSON.stringify(model.plan));
  cpSync(fileURLToPath(new URL("../../docs/lunet_torch.py", import.meta.url)), join(folder, "lunet_torch.py"));
});

function run(code: string): string {
  const done = spawnSync(python, ["-c", code], { cwd: folder, encoding: "utf8" });
  expect(done.status, done.stderr).toBe(0);
  return done.stdout;
}

test.skipIf(!numpy)(
  `Python's safetensors opens a model file: names, shapes, values, header${reason(numpy, "safetensors and numpy")}`,
  () => {
    const code = `
import json
from safetensors import safe_open
with safe_open("runs/lean8/model.safetensors", "np") as f:
    tensors = {n: [str(f.get_tensor(n).dtype), f.get_tensor(n).shape, f.get_tensor(n).ravel().tolist()] for n in f.keys()}
    print(json.dumps([tensors, f.metadata()]))
`;
    const [tensors, metadata] = JSON.parse(run(code));
    const shapes = new Map(buildGraph(model.net, { batch: 1, shape: [4, 4, 4] }).params.map((p) => [p.name, p.shape]));
    expect(Object.keys(tensors).sort()).toEqual([...model.tensors.keys()].sort());
    for (const [name, [dtype, shape, values]] of Object.entries<[string, number[], number[]]>(tensors)) {
      expect([dtype, shape]).toEqual(["float32", shapes.get(name)]);
      expect(Float32Array.from(values)).toEqual(model.tensors.get(name));
    }
    expect(JSON.parse(metadata.lunet)).toMatchObject({ version: 1, net: model.net, plan: model.plan });
  },
  60_000,
);

/** The shell and Python blocks of the how-to's section. */
function howTo(language: string): string {
  const text = readFileSync(new URL("../../docs/how-to.md", import.meta.url), "utf8");
  const section = text.slice(text.indexOf("## Weights from and to PyTorch")).split("\n## ")[0];
  return [...section.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))]
    .map((match) => match[1])
    .join("");
}

test.skipIf(!torch)(
  `the how-to's example: into PyTorch, and back by names and by order${reason(torch, "safetensors, numpy and torch")}`,
  async () => {
    run(howTo("python"));
    const lines = howTo("sh")
      .split("\n")
      .filter((line) => line.startsWith("npx lunet import"));
    expect(lines.length).toBe(2);
    for (const line of lines) {
      const args = line.replace(/ +#.*/, "").replace("lean:8", "lean:2").split(" ").slice(2);
      const paths = args.map((arg) => (/\.(safetensors|json)$/.test(arg) ? join(folder, arg) : arg));
      const { code, stdout, stderr } = await lunet(...paths);
      expect([code, stderr, stdout]).toEqual([0, "", expect.stringContaining("Checked: largest difference")]);
      expect((await loadModel(join(folder, "model.safetensors"))).tensors).toEqual(model.tensors);
      rmSync(join(folder, "model.safetensors"));
    }
  },
  120_000,
);

test.skipIf(!torch)(
  `docs/lunet_torch.py has the units, skips, kernels and pools of any net${reason(torch, "safetensors, numpy and torch")}`,
  async () => {
    const base = { levels: 2, convs: 1, inputChannels: 2, outputChannels: 3 };
    const nets = [
      flat(3, { ...base, unit: { order: "conv-norm-act", norm: "instance", slope: 0.01 } }),
      flat(3, { ...base, convs: 2, unit: { norm: "none", slope: 0.1 } }),
      { ...flat(2, { ...base, levels: 3 }), skips: [false, true] },
      parseNet("lean:3", {
        ...base,
        kernels: [
          [1, 3, 3],
          [1, 3, 3],
        ],
        pools: [[1, 2, 2]],
      }),
    ];
    mkdirSync(join(folder, "nets"));
    const models = nets.map((net) => sampleModel(net));
    for (const [i, one] of models.entries()) await saveModel(join(folder, `nets/${i}.safetensors`), one);
    run(`
import torch, lunet_torch
for i in range(${nets.length}):
    model, header = lunet_torch.load(f"nets/{i}.safetensors")
    x = torch.randn(2, 2, 4, 8, 4)
    lunet_torch.save_file({"input": x, "output": model(x).detach()}, f"nets/io{i}.safetensors")
`);
    for (const [i, { net, tensors }] of models.entries()) {
      const io = readSafetensors(readFileSync(join(folder, `nets/io${i}.safetensors`)), "io").tensors;
      const program = await createReferenceBackend().inference(buildGraph(net, { batch: 2, shape: [4, 8, 4] }));
      program.setParameters(tensors);
      const logits = await program.logits(io.get("input")!.data);
      const { data } = io.get("output")!;
      expect(logits.reduce((most, value, k) => Math.max(most, Math.abs(value - data[k])), 0)).toBeLessThan(1e-4);
    }
  },
  120_000,
);
