import { fail } from "../../util/errors.ts";
import type { Graph } from "../graph.ts";
import { usesSecondMoment } from "../optimiser.ts";
import type { Batch, StepOptions, TensorMap, Trainer, TrainSpec } from "../types.ts";
import type { Gpu } from "./device.ts";
import { RESULT_HEAD } from "./lower-loss.ts";
import { hyperOf, lowerUpdate, type State } from "./lower-update.ts";
import type { Slot } from "./memory.ts";
import { gatherParameters, scatterParameters } from "./parameters.ts";
import { loadProgram, type Range } from "./program.ts";
import { createLoader, lowerPasses } from "./training.ts";
import { HYPER } from "./update-kernels.ts";

export async function createTrainer(graph: Graph, spec: TrainSpec, gpu: Gpu): Promise<Trainer> {
  const passes = lowerPasses(graph, spec.loss, gpu);
  const { builder, placement } = passes.lowering;
  const { memory } = builder;
  const { all, trained } = placement;
  const { result } = passes.loss;
  const gradientsEnd = builder.mark();
  const state: State = {
    params: passes.params,
    gradients: passes.gradients,
    m: memory.keep("m", 4 * trained),
    v: usesSecondMoment(spec.optimiser) ? memory.keep("v", 4 * trained) : null,
    average: spec.ema > 0 ? memory.keep("average", 4 * all) : null,
    hyper: memory.keep("hyper", 4 * HYPER.floats),
  };
  lowerUpdate(passes.lowering, passes.forward, state, result, spec);
  const end = builder.mark();
  const program = await loadProgram(builder, gpu);
  const load = createLoader(program, passes);
  const classes = graph.tensors[graph.output].channels;
  let stepsDone = 0;

  const floats = (slot: Slot, count: number): Range => ({ slot, size: 4 * count });
  const read = async (slot: Slot, count: number, prefix = "", into?: TensorMap): Promise<TensorMap> => {
    const [found] = await program.run([], [floats(slot, count)]);
    return scatterParameters(graph, placement, new Float32Array(found), prefix, into);
  };
  return {
    graph,
    bytes: program.bytes,
    setParameters(values) {
      const flat = gatherParameters(placement, all, values);
      program.write(state.params, flat);
      if (state.average) program.write(state.average, flat);
    },
    getParameters: () => read(state.params, all),
    getAverage: () => read(state.average ?? state.params, all),
    async getState() {
      const { m, v, average } = state;
      const saved: TensorMap = new Map([["step", Float32Array.of(stepsDone)]]);
      const parts: [string, Range][] = [["m.", floats(m, trained)]];
      if (v) parts.push(["v.", floats(v, trained)]);
      if (average) parts.push(["ema.", floats(average, all)]);
      const found = await program.run(
        [],
        parts.map(([, range]) => range),
      );
      parts.forEach(([prefix], i) => {
        scatterParameters(graph, placement, new Float32Array(found[i]), prefix, saved);
      });
      return saved;
    },
    setState(saved) {
      const step = saved.get("step") ?? fail("Expected a tensor named step in the optimiser state, but there is none.");
      stepsDone = step[0];
      program.write(state.m, gatherParameters(placement, trained, saved, "m."));
      if (state.v) program.write(state.v, gatherParameters(placement, trained, saved, "v."));
      if (state.average) program.write(state.average, gatherParameters(placement, all, saved, "ema."));
    },
    async step(batch: Batch, { learningRate, dropout }: StepOptions) {
      load(batch, dropout);
      stepsDone++;
      program.write(state.hyper, hyperOf(spec.optimiser, learningRate, stepsDone));
      const [found] = await program.run([[0, end]], [floats(result, RESULT_HEAD + classes)]);
      const [loss, gradientNorm, , , ...dice] = new Float32Array(found);
      return { loss, gradientNorm, dice };
    },
    async gradients(batch, options) {
      load(batch, options?.dropout);
      const ranges = [floats(result, RESULT_HEAD), floats(state.gradients, trained)];
      const [head, flat] = await program.run([[0, gradientsEnd]], ranges);
      const gradients = scatterParameters(graph, placement, new Float32Array(flat));
      return { loss: new Float32Array(head)[0], gradients };
    },
    close: () => program.close(),
  };
}
