import { expect, test } from "vitest";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import { buildGraph } from "../net/build.ts";
import { doubling, type MakeOptions } from "../net/make.ts";
import { random } from "../util/random.ts";
import { modelToBytes } from "./file.ts";
import { importWeights } from "./import.ts";
import { readSafetensors, type TensorFile, writeSafetensors } from "./safetensors.ts";
import { sampleModel } from "./sample.ts";

const options: MakeOptions = { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 };
const net = doubling(2, options);
const model = sampleModel(net);
const shapes = new Map(buildGraph(net, { batch: 1, shape: [4, 4, 4] }).params.map(({ name, shape }) => [name, shape]));

type Entry = [string, { shape: number[]; data: Float32Array }];

/** The model as PyTorch code could name it: convolutions of a block before its norms, a counter in each norm, numbered names in any order. */
function foreign(change: (entries: Entry[]) => Entry[] = (entries) => entries): TensorFile {
  const blocks = new Map<string, string[]>();
  for (const name of model.tensors.keys()) {
    const block = name.replace(/\.\d\.(norm\.)?\w+$/, "");
    blocks.set(block, [...(blocks.get(block) ?? []), name]);
  }
  const order = [...blocks.values()].flatMap((names) => [
    ...names.filter((name) => !name.includes("norm")),
    ...names.filter((name) => name.includes("norm")),
  ]);
  const entries = order.flatMap((own): Entry[] => {
    const entry: Entry = [
      `unet.${own.replace(".norm", "bn")}`,
      { shape: shapes.get(own)!, data: model.tensors.get(own)! },
    ];
    const counter: Entry = [
      entry[0].replace("running_var", "num_batches_tracked"),
      { shape: [1], data: new Float32Array(1) },
    ];
    return own.endsWith("running_var") ? [entry, counter] : [entry];
  });
  const numbered = change(entries).map(([name, tensor], i): Entry => [`${String(i).padStart(4, "0")}.${name}`, tensor]);
  return { tensors: new Map(numbered.toReversed()), metadata: {} };
}

test("weights come by order and shape, through a file", () => {
  const file = readSafetensors(writeSafetensors(foreign()), "w");
  const { tensors, table } = importWeights(file, net, "w");
  expect(new Map([...tensors].sort())).toEqual(new Map([...model.tensors].sort()));
  expect(table.slice(0, 2)).toEqual([
    { layer: "encoder.0.0", module: "unet.encoder.0.0", shape: [2, 1, 3, 3, 3], norm: "unet.encoder.0.0bn" },
    { layer: "encoder.0.1", module: "unet.encoder.0.1", shape: [2, 2, 3, 3, 3], norm: "unet.encoder.0.1bn" },
  ]);
  expect(table.at(-1)).toEqual({ layer: "head", module: "unet.head", shape: [2, 2, 1, 1, 1] });
  expect(table.length).toBe(6 + 6 + 1); // units of encoder and bottleneck; two decoder levels of an up and two units; the head
});

test("a model's own names need no numbers", () => {
  const entries = [...model.tensors].map(([name, data]): Entry => [name, { shape: shapes.get(name)!, data }]).sort();
  expect(importWeights({ tensors: new Map(entries), metadata: {} }, net, "w").tensors).toEqual(model.tensors);
});

test("[skip, up] becomes [up, skip]: the net gives the same where the two differ in width", async () => {
  // One level; up has 3 channels and skip 2. By hand: the first 3 of 5 input channels move behind the other 2.
  const uneven = { ...doubling(2, { ...options, levels: 2 }), decoder: [{ up: 3, convs: [1] }] };
  const own = sampleModel(uneven);
  const graph = buildGraph(uneven, { batch: 1, shape: [4, 4, 4] });
  const weight = own.tensors.get("decoder.0.0.weight")!;
  const swapped = Float32Array.of(...weight.subarray(3 * 27), ...weight.subarray(0, 3 * 27));
  const tensors = new Map(
    graph.params.map(({ name, shape }, i): Entry => {
      const data = name === "decoder.0.0.weight" ? swapped : own.tensors.get(name)!;
      return [`${i}.${name}`, { shape, data }];
    }),
  );
  const read = importWeights({ tensors, metadata: {} }, uneven, "w", { concat: "skip-up" }).tensors;
  expect(read).toEqual(own.tensors);
  const program = await createReferenceBackend().inference(graph);
  const generator = random(3);
  const input = Float32Array.from({ length: 64 }, () => generator.normal());
  program.setParameters(own.tensors);
  const expected = program.logits(input);
  program.setParameters(importWeights({ tensors, metadata: {} }, uneven, "w").tensors);
  expect(program.logits(input)).not.toEqual(expected);
});

test("2D weights have no axis D; what a layer lacks is neutral", () => {
  const flat = doubling(2, { ...options, levels: 2, dimensions: 2, unit: { norm: "instance" } });
  const own = sampleModel(flat).tensors;
  const params = buildGraph(flat, { batch: 1, shape: [1, 4, 4] }).params;
  const tensors = new Map(
    params
      .filter(({ name, role }) => role === "weight" || role === "shift" || name === "head.bias")
      .map(
        ({ name, shape }, i): Entry => [
          `${i}.${name}`,
          { shape: shape.filter((_, a) => a !== 2), data: own.get(name)! },
        ],
      ),
  );
  const read = importWeights({ tensors, metadata: {} }, flat, "w").tensors;
  expect(read.get("encoder.0.0.weight")).toEqual(own.get("encoder.0.0.weight"));
  expect(read.get("encoder.0.0.bias")).toEqual(new Float32Array(2));
  expect(read.get("encoder.0.0.norm.weight")).toEqual(Float32Array.of(1, 1));
  expect(read.get("head.bias")).toEqual(own.get("head.bias"));
});

test.each<[string, (entries: Entry[]) => Entry[], string]>([
  [
    "another width",
    (entries) =>
      entries.map(([n, t]) => (n === "unet.encoder.1.0.weight" ? [n, { ...t, shape: [4, 3, 3, 3, 3] }] : [n, t])),
    "Expected unet.encoder.1.0.weight, layer 3 of w, to have shape [4,2,3,3,3] as encoder.1.0.weight of this net, but it has [4,3,3,3,3]; " +
      "check the net and the order of the layers.",
  ],
  [
    "a layer too few",
    (entries) => entries.filter(([n]) => !n.startsWith("unet.head")),
    "Expected 13 convolutions and transposed convolutions in w for this net, but it has 12; check the net (--like, --convs, --norm).",
  ],
  [
    "a norm too few",
    (entries) => entries.filter(([n]) => !n.startsWith("unet.bottleneck.1bn")),
    "Expected 10 norms in w for this net, but it has 9; check the net (--like, --convs, --norm).",
  ],
  [
    "no statistics",
    (entries) => entries.filter(([n]) => n !== "unet.bottleneck.1bn.running_mean"),
    "Expected running_mean in unet.bottleneck.1bn of w, which becomes bottleneck.1.norm.running_mean, but it is missing.",
  ],
  [
    "a part that the net has no place for",
    (entries) => [...entries, ["unet.head.gain", { shape: [1], data: new Float32Array(1) }]],
    "Expected no gain in unet.head of w, because head of this net has none; check --norm.",
  ],
])("refuses %s", (_, change, sentence) => {
  expect(() => importWeights(foreign(change), net, "w")).toThrow(sentence);
});

test("refuses names without places, whose order is lost", () => {
  const tensors = new Map([...foreign().tensors].map(([name, tensor]) => [name.slice(5), tensor]));
  expect(() => importWeights({ tensors, metadata: {} }, net, "w")).toThrow("to begin with its place, as in 0000.enc1");
});

test("a model file keeps the format's rules, so that other readers open it", () => {
  // github.com/huggingface/safetensors, "Format": a header that begins with {, text for text in __metadata__, no holes, no doubles.
  const bytes = modelToBytes(model);
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length));
  expect([text[0], length % 8]).toEqual(["{", 0]);
  const { __metadata__, ...entries } = JSON.parse(text);
  expect(Object.values(__metadata__).map((value) => typeof value)).toEqual(["string", "string"]);
  let at = 0;
  for (const [name, { dtype, shape, data_offsets }] of Object.entries<Record<string, unknown>>(entries)) {
    const size = 4 * model.tensors.get(name)!.length;
    expect([name, dtype, shape, data_offsets]).toEqual([name, "F32", shapes.get(name), [at, at + size]]);
    expect(text.split(`"${name}":`).length).toBe(2);
    at += size;
  }
  expect([bytes.length, Object.keys(entries).length]).toEqual([8 + length + at, model.tensors.size]);
});
