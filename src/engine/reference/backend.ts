import { fail } from "../../util/errors.ts";
import { voxelCount } from "../../volume/volume.ts";
import { checkBatch, checkShapes, checkTargets } from "../check.ts";
import type { Graph } from "../graph.ts";
import { distils } from "../loss.ts";
import { applyAverage, applyRunning, applyUpdate, clipFactor, sumOfSquares, usesSecondMoment } from "../optimiser.ts";
import type {
  ChannelMeter,
  Immediate,
  ImmediateBackend,
  Inference,
  LossSpec,
  TensorMap,
  Trainer,
  TrainSpec,
} from "../types.ts";
import { collectSums } from "./meter.ts";
import { forward, lossAndGradients, type Values } from "./program.ts";

/**
 * The plain backend: float64 arithmetic, float32 parameters and optimiser state (so that a stored state resumes exactly).
 * Slow, readable, kept as the truth for the fast ones.
 */
export function createReferenceBackend(): ImmediateBackend {
  return {
    name: "reference",
    inference: async (graph) => createInference(graph),
    trainer: async (graph, spec) => createTrainer(graph, spec),
    meter: async (graph, loss) => createMeter(graph, loss),
    close: async () => {},
  };
}

const widen = (values: TensorMap): Values =>
  new Map([...values].map(([name, data]) => [name, Float64Array.from(data)]));
const copy = (values: TensorMap): TensorMap => new Map([...values].map(([name, data]) => [name, data.slice()]));

/** One zero-filled tensor per parameter. */
function zeros(params: Graph["params"]): TensorMap {
  return new Map(params.map(({ name, shape }) => [name, new Float32Array(voxelCount(shape))]));
}

/** Copies `from` (names with `prefix`) over the tensors of `to`; every one must be there with its size. */
function fill(to: TensorMap, from: TensorMap, prefix = ""): void {
  for (const [name, data] of to) {
    const key = prefix + name;
    const source = from.get(key) ?? fail(`Expected a tensor named "${key}", but there is none.`);
    if (source.length !== data.length) {
      fail(`Expected ${data.length} values in tensor "${key}", but got ${source.length}.`);
    }
    data.set(source);
  }
}

/** Bytes of the float64 tensors of one pass. */
function tensorBytes(graph: Graph): number {
  return graph.tensors.reduce((sum, t) => sum + 8 * graph.batch * t.channels * voxelCount(t.shape), 0);
}

function createInference(graph: Graph): Immediate<Inference> {
  checkShapes(graph);
  const params = zeros(graph.params);
  const held = [...params.values()].reduce((sum, data) => sum + data.byteLength, 0);
  return {
    graph,
    bytes: tensorBytes(graph) + held,
    setParameters: (values) => fill(params, values),
    logits: (input) => Float32Array.from(forward(graph, widen(params), input, { training: false }).logits),
    close: () => {},
  };
}

function createTrainer(graph: Graph, spec: TrainSpec): Immediate<Trainer> {
  checkShapes(graph);
  checkTargets(graph);
  const { optimiser } = spec;
  const trained = graph.params.filter((p) => p.trained);
  const params = zeros(graph.params);
  const m = zeros(trained);
  const v = usesSecondMoment(optimiser) ? zeros(trained) : new Map<string, Float32Array>();
  const average = spec.ema > 0 ? zeros(graph.params) : null;
  let steps = 0;

  const gradients: Immediate<Trainer>["gradients"] = (batch, options = {}) => {
    checkBatch(graph, batch, distils(spec.loss), options.dropout);
    const result = lossAndGradients(graph, widen(params), batch, spec.loss, options.dropout);
    return { loss: result.loss, gradients: narrow(result.gradients, trained) };
  };

  const step: Immediate<Trainer>["step"] = (batch, { learningRate, dropout }) => {
    checkBatch(graph, batch, distils(spec.loss), dropout);
    const result = lossAndGradients(graph, widen(params), batch, spec.loss, dropout);
    const grads = narrow(result.gradients, trained);
    let squares = 0;
    for (const grad of grads.values()) squares += sumOfSquares(grad);
    const gradientNorm = Math.sqrt(squares);
    const gradientScale = clipFactor(gradientNorm, spec.clip);
    steps++;
    for (const { name, role } of trained) {
      const hyper = { learningRate, step: steps, gradientScale, decay: role === "weight" };
      const param = params.get(name)!;
      applyUpdate(optimiser, param, grads.get(name)!, m.get(name)!, v.get(name) ?? null, 0, param.length, hyper);
    }
    for (const node of graph.nodes) {
      const fresh = result.statistics.get(node.name);
      if (!fresh || node.kind !== "conv") continue;
      const { momentum } = node.tail!;
      applyRunning(params.get(`${node.name}.norm.running_mean`)!, fresh.mean, momentum);
      applyRunning(params.get(`${node.name}.norm.running_var`)!, fresh.variance, momentum);
    }
    if (average) {
      for (const [name, data] of average) applyAverage(data, params.get(name)!, 0, data.length, spec.ema);
    }
    return { loss: result.loss, dice: result.dice, gradientNorm };
  };

  const state = [m, v, ...(average ? [average] : [])];
  const prefixes = ["m.", "v.", "ema."];
  const held = [params, ...state].reduce(
    (sum, map) => sum + [...map.values()].reduce((s, a) => s + a.byteLength, 0),
    0,
  );
  return {
    graph,
    bytes: 2 * tensorBytes(graph) + held,
    setParameters: (values) => {
      fill(params, values);
      if (average) fill(average, values);
    },
    getParameters: () => copy(params),
    getAverage: () => copy(average ?? params),
    getState: () => {
      const out: TensorMap = new Map([["step", Float32Array.of(steps)]]);
      state.forEach((map, i) => {
        for (const [name, data] of map) out.set(prefixes[i] + name, data.slice());
      });
      return out;
    },
    setState: (from) => {
      const count =
        from.get("step") ?? fail('Expected a tensor named "step" in the training state, but there is none.');
      state.forEach((map, i) => {
        fill(map, from, prefixes[i]);
      });
      steps = count[0];
    },
    step,
    gradients,
    close: () => {},
  };
}

function createMeter(graph: Graph, loss: LossSpec): Immediate<ChannelMeter> {
  checkShapes(graph);
  checkTargets(graph);
  const params = zeros(graph.params);
  const held = [...params.values()].reduce((sum, data) => sum + data.byteLength, 0);
  return {
    graph,
    bytes: 2 * tensorBytes(graph) + held,
    setParameters: (values) => fill(params, values),
    measure: (batch, options = {}) => {
      checkBatch(graph, batch, distils(loss), options.dropout);
      const { observe, channels } = collectSums(graph);
      const result = lossAndGradients(graph, widen(params), batch, loss, options.dropout, observe);
      // The backward pass goes from the last node to the first.
      return { loss: result.loss, channels: new Map([...channels].reverse()) };
    },
    close: () => {},
  };
}

/** float64 gradients as float32, in the order of Graph.params. */
function narrow(gradients: Values, trained: Graph["params"]): TensorMap {
  return new Map(trained.map(({ name }) => [name, Float32Array.from(gradients.get(name)!)]));
}
