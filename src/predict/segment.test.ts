import { expect, test } from "vitest";
import { prepareCase } from "../dataset/preprocess.ts";
import { sharedData } from "../dataset/testing.ts";
import { createReferenceBackend } from "../engine/reference/backend.ts";
import type { Backend } from "../engine/types.ts";
import { planMemory } from "../engine/wasm/plan-memory.ts";
import { sampleModel } from "../model/sample.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import { flat, type MakeOptions } from "../net/make.ts";
import { random } from "../util/random.ts";
import { readVolume } from "../volume/files.ts";
import { reorient } from "../volume/orientation.ts";
import { resample } from "../volume/resample.ts";
import { type Vec3, type Volume, voxelCount } from "../volume/volume.ts";
import { classProbabilities } from "./probabilities.ts";
import { createPredictor, segment } from "./segment.ts";
import { chooseWindow } from "./window.ts";

const backend = createReferenceBackend();

const modelOf = (seed: number, plan: Partial<Model["plan"]> = {}, net: Partial<MakeOptions> = {}): Model => {
  const model = sampleModel(flat(3, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 3, ...net }), seed);
  const labels = [0, 2, 7].map((value) => ({ value, name: `label ${value}` }));
  return { ...model, plan: { ...model.plan, labels, patch: [4, 4, 4], ...plan } };
};

function scan(shape: Vec3, seed = 5, affine = [1, 0, 0, -3, 0, 1, 0, 8, 0, 0, 1, 2, 0, 0, 0, 1]): Volume<Float32Array> {
  const generator = random(seed);
  const data = Float32Array.from({ length: voxelCount(shape) }, () => 100 + 20 * generator.normal());
  return { data, shape, affine: Float64Array.from(affine) };
}

/** The net straight on a prepared image whose shape fits its pools. */
async function plainProbabilities(model: Model, image: Volume): Promise<Float32Array> {
  const prepared = prepareCase([image], undefined, model.plan, "plain");
  const program = await backend.inference(buildGraph(model.net, { batch: 1, shape: prepared.shape }));
  program.setParameters(model.tensors);
  return classProbabilities(program.logits(prepared.image), model.net);
}

const largest = (scores: Float32Array, classes: number, values: number[]): number[] => {
  const voxels = scores.length / classes;
  return Array.from({ length: voxels }, (_, i) => {
    let best = 0;
    for (let k = 1; k < classes; k++) if (scores[k * voxels + i] > scores[best * voxels + i]) best = k;
    return values[best];
  });
};

test("a model whose parameters fail to load leaves nothing behind for the next", async () => {
  const good = modelOf(1);
  const broken = modelOf(2);
  broken.tensors.delete("head.bias");
  const predictor = createPredictor([good, broken], { backend });
  const image = scan([4, 6, 8]);
  const { labels } = await predictor.segment([image], { models: [0] });
  await expect(predictor.segment([image], { models: [1] })).rejects.toThrow("head.bias");
  expect((await predictor.segment([image], { models: [0] })).labels.data).toEqual(labels.data);
  predictor.close();
});

test("labels are the net's likeliest classes, as values of the plan, on the scan's grid", async () => {
  const model = modelOf(1);
  const image = scan([4, 6, 8]);
  const { labels, milliseconds } = await segment(model, [image], { backend });
  expect([...labels.data]).toEqual(largest(await plainProbabilities(model, image), 3, [0, 2, 7]));
  expect(new Set(labels.data).size).toBeGreaterThan(1);
  expect(labels.shape).toEqual(image.shape);
  expect(labels.affine).toEqual(image.affine);
  expect(milliseconds.total).toBeGreaterThanOrEqual(milliseconds.predict);
});

test("a scan with turned axes, other spacing and odd sizes gets labels on its own grid: the same answer turned", async () => {
  const model = modelOf(2);
  const straight = scan([6, 4, 8]);
  // The same voxels stored with W and H swapped and D backwards: i runs along y, j along x, k along -z.
  const [D, H, W] = straight.shape;
  const turned: Volume<Float32Array> = {
    data: new Float32Array(straight.data.length),
    shape: [D, W, H],
    affine: Float64Array.of(0, 1, 0, -3, 1, 0, 0, 8, 0, 0, -1, 2 + D - 1, 0, 0, 0, 1),
  };
  const at = (d: number, h: number, w: number): [number, number] => [
    (d * H + h) * W + w,
    ((D - 1 - d) * W + w) * H + h,
  ];
  const each = (visit: (from: number, to: number) => void): void => {
    for (let d = 0; d < D; d++) for (let h = 0; h < H; h++) for (let w = 0; w < W; w++) visit(...at(d, h, w));
  };
  each((from, to) => {
    turned.data[to] = straight.data[from];
  });
  const predictor = createPredictor(model, { backend });
  const a = (await predictor.segment([straight])).labels;
  const b = (await predictor.segment([turned])).labels;
  each((from, to) => {
    expect(b.data[to]).toBe(a.data[from]);
  });
  const coarse = await predictor.segment([scan([3, 5, 7], 6, [2, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1])]);
  expect(coarse.labels.shape).toEqual([3, 5, 7]);
  expect([...coarse.labels.data].every((value) => [0, 2, 7].includes(value))).toBe(true);
  predictor.close();
});

test("streamed labels are those of the whole volume's probabilities, voxel for voxel", async () => {
  const turned = [0, -0.7, 0, 5, 0.9, 0, 0, 1, 0, 0, 1.6, -4, 0, 0, 0, 1];
  const plans: Partial<Model["plan"]>[] = [
    { spacing: [1, 1, 1] },
    { spacing: [2, 0.5, 1] },
    { spacing: [0.8, 1.2, 0.6], mirrorAxes: [0, 2] },
  ];
  for (const plan of plans) {
    // Members with other windows go forward at another pace.
    const models = [modelOf(1, { ...plan, patch: [2, 4, 4] }), modelOf(2, { ...plan, patch: [6, 4, 2] })];
    const image = scan([5, 4, 6], 5, turned);
    const options = { mirror: true, shifts: 1, batch: 2 };
    const predictor = createPredictor(models, { backend, window: "patch" });
    const prepared = prepareCase([image], undefined, models[0].plan, "x");
    const whole = await predictor.probabilities(prepared, options);
    const { shape, source } = prepared;
    const grids = [0, 1, 2].map((k) => {
      const n = voxelCount(shape);
      return [...resample({ data: whole.subarray(k * n, (k + 1) * n), shape }, source.cropShape).data];
    });
    const { labels } = await predictor.segment([image], options);
    expect([...reorient(labels).data]).toEqual(largest(Float32Array.from(grids.flat()), 3, [0, 2, 7]));
    predictor.close();
  }
});

test("an abort stops a case between windows, and the next case goes on", async () => {
  const predictor = createPredictor([modelOf(1), modelOf(2)], { backend, window: "patch" });
  const controller = new AbortController();
  const image = scan([4, 6, 8]);
  let done = 0;
  const stopped = predictor.segment([image], {
    signal: controller.signal,
    onProgress: (windows) => {
      done = windows;
      if (windows === 7) controller.abort(new Error("enough"));
    },
  });
  await expect(stopped).rejects.toThrow("enough");
  expect(done).toBe(7);
  await expect(predictor.segment([image], { signal: controller.signal })).rejects.toThrow("enough");
  expect((await predictor.segment([image])).labels.shape).toEqual([4, 6, 8]);
  predictor.close();
});

test("an ensemble is the mean of the members' probabilities; a choice of members uses those only", async () => {
  const models = [modelOf(1), modelOf(2), modelOf(3)];
  const image = scan([4, 4, 4]);
  const members = await Promise.all(models.map((model) => plainProbabilities(model, image)));
  const predictor = createPredictor(models, { backend });
  const prepared = prepareCase([image], undefined, models[0].plan, "x");
  const all = await predictor.probabilities(prepared);
  const two = await predictor.probabilities(prepared, { models: [2, 0] });
  for (let i = 0; i < all.length; i++) {
    // float32 sums of three terms of at most 1.
    expect(all[i]).toBeCloseTo((members[0][i] + members[1][i] + members[2][i]) / 3, 6);
    expect(two[i]).toBeCloseTo((members[0][i] + members[2][i]) / 2, 6);
  }
  await expect(predictor.probabilities(prepared, { models: [3] })).rejects.toThrow("a model from 0 to 2, but got 3");
  await expect(predictor.probabilities(prepared, { models: [] })).rejects.toThrow("choice is empty");
  // A refused case does not block the next one.
  expect(await predictor.probabilities(prepared)).toEqual(all);
});

test("a temperature changes probabilities and the weight of a member, not the labels of a model", async () => {
  const [plain, other] = [modelOf(1), modelOf(2)];
  const record = { eceBefore: 0, eceAfter: 0, nllBefore: 0, nllAfter: 0, cases: 1, voxels: 1 };
  const soft: Model = { ...plain, calibration: { temperature: 2, ...record } };
  const image = scan([4, 4, 4]);
  const prepared = prepareCase([image], undefined, plain.plan, "x");
  const predictor = createPredictor([plain, soft, other], { backend });
  const of = (...models: number[]) => predictor.probabilities(prepared, { models });
  const [before, after, second, both] = [await of(0), await of(1), await of(2), await of(1, 2)];
  const voxels = 64;
  for (let i = 0; i < voxels; i++) {
    // softmax(z / 2) is the square root of softmax(z), normalised.
    const roots = [0, 1, 2].map((k) => Math.sqrt(before[k * voxels + i]));
    const sum = roots.reduce((total, x) => total + x);
    for (let k = 0; k < 3; k++) {
      expect(after[k * voxels + i]).toBeCloseTo(roots[k] / sum, 5); // float32
      expect(both[k * voxels + i]).toBeCloseTo((after[k * voxels + i] + second[k * voxels + i]) / 2, 6);
    }
  }
  const labels = async (model: number) => (await predictor.segment([image], { models: [model] })).labels.data;
  expect(await labels(1)).toEqual(await labels(0));
});

test("uncertainty is that of the probabilities, volumes in ml, on request only", async () => {
  // Voxels of 2 mm for plans of 1 mm: 8 x 8 x 8 voxels of the net's grid for 4 x 4 x 4 of the scan.
  const image = scan([4, 4, 4], 5, [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]);
  const models = [modelOf(1), modelOf(2)];
  const predictor = createPredictor(models, { backend });
  expect(await predictor.segment([image])).not.toHaveProperty("uncertainty");
  const { uncertainty, labels } = await predictor.segment([image], { uncertainty: true });
  expect(labels.data).toEqual((await predictor.segment([image])).labels.data);
  const p = await predictor.probabilities(prepareCase([image], undefined, models[0].plan, "x"));
  expect(p.length).toBe(3 * 512);
  const soft = p.subarray(512, 1024).reduce((sum, x) => sum + x, 0) / 1000;
  expect(uncertainty!.classes[0].name).toBe("label 2");
  expect(uncertainty!.classes[0].softMl).toBeCloseTo(soft, 6); // 512 float32 numbers of at most 1
  expect(uncertainty!.classes[1].ml).toBe(largest(p, 3, [0, 1, 2]).filter((k) => k === 2).length / 1000);
  const entropy = p.reduce((sum, x) => sum - x * Math.log(x), 0) / 512;
  expect(uncertainty!.entropy).toBeCloseTo(entropy, 4);
  expect(uncertainty!.disagreement!.members).toBe(2);
  expect(uncertainty!.disagreement!.varianceShare).toBeGreaterThan(0);
  const one = await predictor.segment([image], { uncertainty: true, models: [0] });
  expect(one.uncertainty).not.toHaveProperty("disagreement");
});

test("members with other normalisations get their own input", async () => {
  const one = modelOf(1);
  const other = modelOf(2, { channels: [{ name: "channel 0", normalisation: { kind: "scale", divisor: 100 } }] });
  const image = scan([4, 4, 4]);
  const [a, b] = [await plainProbabilities(one, image), await plainProbabilities(other, image)];
  const { labels } = await segment([one, other], [image], { backend });
  expect([...labels.data]).toEqual(
    largest(
      a.map((p, i) => p + b[i]),
      3,
      [0, 2, 7],
    ),
  );
});

test("sigmoid regions: above 0.5 wins, the likelier of two regions wins", async () => {
  const binary = { output: "sigmoid", outputChannels: 1 } as const;
  const p = classProbabilities(Float32Array.of(2, -1), binary);
  for (const [i, x] of [-2, 1, 2, -1].entries()) expect(p[i]).toBeCloseTo(1 / (1 + Math.exp(-x)), 6);
  const two = classProbabilities(Float32Array.of(1, -1, 0.5, 0.5, -3, 0.6), { output: "sigmoid", outputChannels: 2 });
  expect(largest(two, 3, [0, 1, 2])).toEqual([1, 0, 2]);
  const model = modelOf(
    1,
    { labels: [0, 1].map((value) => ({ value, name: "" })) },
    { outputChannels: 1, output: "sigmoid" },
  );
  const image = scan([4, 4, 4]);
  const expected = largest(await plainProbabilities(model, image), 2, [0, 1]);
  expect([...(await segment(model, [image], { backend })).labels.data]).toEqual(expected);
});

test("regions of a plan overlap: each is found by itself, and painted in order", async () => {
  const regions = [
    { name: "whole", values: [3, 200], paint: 3 },
    { name: "core", values: [200], paint: 200 },
  ];
  const labels = [0, 3, 200].map((value) => ({ value, name: "" }));
  const overlapping = (seed: number) => modelOf(seed, { labels, regions }, { outputChannels: 2, output: "sigmoid" });
  const model = overlapping(1);
  // Both regions somewhere, but not everywhere.
  model.tensors.get("head.bias")!.set([-0.4, -1.6]);
  const image = scan([4, 4, 4]);
  const prepared = prepareCase([image], undefined, model.plan, "plain");
  const program = await backend.inference(buildGraph(model.net, { batch: 1, shape: prepared.shape }));
  program.setParameters(model.tensors);
  const logits = program.logits(prepared.image);
  const { data } = (await segment(model, [image], { backend })).labels;
  expect([...data]).toEqual(Array.from(data, (_, i) => (logits[64 + i] > 0 ? 200 : logits[i] > 0 ? 3 : 0)));
  expect(new Set(data)).toEqual(new Set([0, 3, 200]));
  const predictor = createPredictor(model, { backend });
  const scores = await predictor.probabilities(prepared);
  expect(scores).toHaveLength(128);
  // Far from 0 both forms of the sigmoid are as exact as float32.
  for (const [i, p] of scores.entries()) expect(p).toBeCloseTo(1 / (1 + Math.exp(-logits[i])), 6);
  predictor.close();
  const other = overlapping(2);
  other.plan = { ...other.plan, regions: [regions[0], { ...regions[1], values: [3], paint: 3 }] };
  expect(() => createPredictor([model, other], { backend })).toThrow("must share their regions");
});

test("the whole padded volume is one window; a forced patch slides", async () => {
  const model = modelOf(1);
  const counts: number[] = [];
  const onProgress = (_: number, total: number) => counts.push(total);
  await segment(model, [scan([5, 7, 6])], { backend, onProgress });
  await segment(model, [scan([5, 7, 6])], { backend, window: "patch", onProgress });
  expect(counts[0]).toBe(1);
  expect(counts.at(-1)).toBe(2 * 3 * 2);
});

test("with mirroring, the answer to a mirrored scan is the mirrored answer", async () => {
  const model = modelOf(4, { mirrorAxes: [2] });
  const image = scan([4, 4, 6]);
  const flip = (data: Float32Array | Uint8Array): number[] =>
    Array.from(data, (_, i) => data[i - (i % 6) + 5 - (i % 6)]);
  const flipped = { ...image, data: Float32Array.from(flip(image.data)) };
  const predictor = createPredictor(model, { backend });
  const [a, b] = [
    await predictor.segment([image], { mirror: true }),
    await predictor.segment([flipped], { mirror: true, shifts: 0 }),
  ];
  expect([...b.labels.data]).toEqual(flip(a.labels.data));
  const plain = await predictor.segment([flipped]);
  expect([...plain.labels.data]).not.toEqual(flip((await predictor.segment([image])).labels.data));
});

test("nets are compiled once a window size, shared by members, and the oldest are closed beyond the limit", async () => {
  let compiled = 0;
  let open = 0;
  const counting: Pick<Backend, "inference"> = {
    inference: async (graph) => {
      compiled++;
      open++;
      const program = await backend.inference(graph);
      return {
        graph,
        bytes: 100,
        setParameters: (values) => program.setParameters(values),
        logits: (input) => program.logits(input),
        close: () => {
          open--;
          program.close();
        },
      };
    },
  };
  const predictor = createPredictor([modelOf(1), modelOf(2)], { backend: { ...backend, ...counting }, keepBytes: 250 });
  const shapes: Vec3[] = [
    [4, 4, 4],
    [3, 4, 4],
    [4, 4, 6],
    [6, 4, 4],
  ];
  const counts: number[] = [];
  for (const shape of [...shapes, shapes[3], shapes[0]]) {
    await predictor.segment([scan(shape)]);
    counts.push(compiled);
  }
  // The second shape pads to the first's window; the first window was dropped for the fourth shape's.
  expect(counts).toEqual([1, 1, 2, 3, 3, 4]);
  expect(open).toBe(2);
  predictor.close();
  expect(open).toBe(0);
});

test("windows: whole where cheaper and in memory, the patch for instance norm", () => {
  const net = flat(8, { levels: 4, convs: 2, inputChannels: 1, outputChannels: 3 });
  expect(chooseWindow(net, [32, 48, 32], [35, 50, 36])).toEqual([40, 56, 40]);
  expect(chooseWindow(net, [32, 48, 32], [40, 56, 40], { shifts: 2 })).toEqual([48, 64, 48]);
  // One voxel too long takes two patches, so a whole window of one more pool step is cheaper.
  expect(chooseWindow(net, [32, 32, 32], [33, 32, 32])).toEqual([40, 32, 32]);
  expect(chooseWindow(net, [32, 32, 32], [20, 20, 20])).toEqual([24, 24, 24]);
  expect(chooseWindow(net, [64, 64, 64], [400, 400, 400])).toEqual([64, 64, 64]);
  // What counts is the memory that the engine plans, to the byte.
  const bytes = planMemory(buildGraph(net, { batch: 1, shape: [40, 56, 40] })).total;
  expect(chooseWindow(net, [32, 48, 32], [35, 50, 36], { maxBytes: bytes })).toEqual([40, 56, 40]);
  expect(chooseWindow(net, [32, 48, 32], [35, 50, 36], { maxBytes: bytes - 1 })).toEqual([32, 48, 32]);
  const instance = flat(8, { levels: 4, convs: 2, inputChannels: 1, outputChannels: 3, unit: { norm: "instance" } });
  expect(chooseWindow(instance, [32, 48, 32], [35, 50, 36])).toEqual([32, 48, 32]);
});

test("models that cannot vote together, and no model at all, are refused", () => {
  const refused = (...models: Model[]) => expect(() => createPredictor(models, { backend }));
  refused().toThrow("at least one model");
  const labels = [0, 1, 2].map((value) => ({ value, name: "" }));
  refused(modelOf(1), modelOf(1, { labels })).toThrow(
    "share their label values, but model 1 has [0,2,7] and model 2 [0,1,2]",
  );
  refused(modelOf(1), modelOf(1, { spacing: [2, 1, 1] })).toThrow("share their spacing");
  refused(modelOf(1, { labels: labels.slice(1) })).toThrow("3 classes in its net but 2 labels");
  refused(modelOf(1, { labels: [0, 2, 300].map((value) => ({ value, name: "" })) })).toThrow("label value 300");
});

const hippocampus = sharedData("hippocampus");

test.skipIf(!hippocampus)("a real scan gets labels of the plan on its own grid", async () => {
  const image = await readVolume(`${hippocampus}/imagesTr/hippocampus_003.nii.gz`);
  const { labels } = await segment(modelOf(1, { patch: [32, 48, 32] }), [image], { backend });
  expect(labels.shape).toEqual(image.shape);
  expect(labels.affine).toEqual(image.affine);
  expect([...new Set(labels.data)].every((value) => [0, 2, 7].includes(value))).toBe(true);
});
