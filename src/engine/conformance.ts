import type { ConformanceCase } from "./conformance-cases.ts";
import { changes, type Numbers, sameBits, worst } from "./conformance-compare.ts";
import { checkMeter, type MeterTruth, meterTruth } from "./conformance-meter.ts";
import { createReferenceBackend } from "./reference/backend.ts";
import type { Backend, TensorMap, Trainer } from "./types.ts";

export { type ConformanceCase, conformanceCases } from "./conformance-cases.ts";

/** Largest errors allowed, all relative: see {@link ConformanceResult}. */
export interface Tolerances {
  logits: number;
  loss: number;
  gradients: number;
  steps: number;
  sums: number;
}

export const defaultTolerances: Tolerances = { logits: 5e-5, loss: 5e-5, gradients: 5e-4, steps: 2e-3, sums: 5e-5 };

export interface ConformanceResult {
  name: string;
  /** Inference with random running statistics; relative to the largest logit. */
  maxLogitError: number;
  /** Loss, Dice of each class and gradient norm of 3 steps; relative to 1 or the value, whichever is larger. */
  maxLossError: number;
  /** Relative to the largest entry of that gradient, or 1/1000 of the largest of all (a bias before a norm has gradient 0). */
  maxGradientError: number;
  worstGradient: string;
  /** Parameters, running statistics and average after 3 steps; relative to the largest change of that tensor, or 1/10 of the largest of all. */
  maxStepError: number;
  worstStep: string;
  /** A meter's sums: the largest of the errors in {@link MeterResult}. */
  maxSumError: number;
  worstSum: string;
  /** A sentence for each breach; empty means the backend conforms. */
  problems: string[];
  /** Parameters after 3 steps, to compare runs with each other. */
  parameters: TensorMap;
  /** A meter's sums, likewise. */
  sums: Numbers;
}

const only = (values: TensorMap, names: Set<string>): TensorMap =>
  new Map([...values].filter(([name]) => names.has(name)));

/** What the reference makes of a case. */
interface Truth {
  logits: Float32Array;
  loss: number;
  gradients: TensorMap;
  /** After each step: loss, Dice values and gradient norm; parameters and state. */
  steps: { numbers: number[]; parameters: TensorMap; state: TensorMap }[];
  average: TensorMap;
  meter: MeterTruth;
}

const truths = new WeakMap<ConformanceCase, Promise<Truth>>();

/** The reference's results, computed once a case. */
function truthOf(test: ConformanceCase): Promise<Truth> {
  const known = truths.get(test) ?? computeTruth(test);
  truths.set(test, known);
  return known;
}

async function computeTruth(test: ConformanceCase): Promise<Truth> {
  const reference = createReferenceBackend();
  const program = await reference.inference(test.graph);
  program.setParameters(test.params);
  const trainer = await reference.trainer(test.graph, test.spec);
  trainer.setParameters(test.params);
  const first = trainer.gradients(test.batches[0], { dropout: test.dropout?.[0] });
  const steps: Truth["steps"] = [];
  for (const i of test.batches.keys()) {
    const numbers = await step(trainer, test, i);
    steps.push({ numbers, parameters: trainer.getParameters(), state: trainer.getState() });
  }
  return {
    logits: program.logits(test.batches[0].input),
    ...first,
    steps,
    average: trainer.getAverage(),
    meter: meterTruth(test),
  };
}

/** Step number i of the case: loss, Dice values and gradient norm. */
async function step(trainer: Trainer, test: ConformanceCase, i: number): Promise<number[]> {
  const options = { learningRate: test.learningRate, dropout: test.dropout?.[i] };
  const { loss, dice, gradientNorm } = await trainer.step(test.batches[i], options);
  return [loss, ...dice, gradientNorm];
}

async function checkInference(
  backend: Backend,
  test: ConformanceCase,
  truth: Truth,
  problems: string[],
): Promise<number> {
  const { input } = test.batches[0];
  const program = await backend.inference(test.graph);
  program.setParameters(test.params);
  const first = await program.logits(input);
  const kept = first.slice();
  // Buffers are reused between calls: nothing of one input may leak into the next, nor into a result handed out.
  await program.logits(test.batches[1].input);
  const bits = (values: Float32Array): TensorMap => new Map([["logits", values]]);
  if (!sameBits(bits(first), bits(kept))) problems.push("logits handed out were changed by a later call");
  const again = await program.logits(input);
  if (!sameBits(bits(again), bits(kept))) problems.push("the same input gave other logits after another input");
  program.close();
  return worst(bits(kept), bits(truth.logits), 1).error;
}

/** Runs one case on a backend and compares with the reference. */
export async function runConformance(
  backend: Backend,
  test: ConformanceCase,
  tolerances: Tolerances = defaultTolerances,
): Promise<ConformanceResult> {
  const problems: string[] = [];
  const truth = await truthOf(test);
  const maxLogitError = await checkInference(backend, test, truth, problems);

  const trainer = await backend.trainer(test.graph, test.spec);
  trainer.setParameters(test.params);
  const untouched = await trainer.getState();
  const found = await trainer.gradients(test.batches[0], { dropout: test.dropout?.[0] });
  const gradient = worst(found.gradients, truth.gradients, 1e-3);
  if (!sameBits(await trainer.getParameters(), test.params)) problems.push("gradients() changed the parameters");
  const meter = await checkMeter(backend, test, truth.meter, found.gradients, problems);
  await step(trainer, test, 0);
  await step(trainer, test, 1);
  const middle = { parameters: await trainer.getParameters(), state: await trainer.getState() };
  await step(trainer, test, 2);
  const parameters = await trainer.getParameters();

  const late = await backend.trainer(test.graph, test.spec);
  late.setParameters(middle.parameters);
  late.setState(middle.state);
  await step(late, test, 2);
  for (const part of ["getParameters", "getAverage", "getState"] as const) {
    if (!sameBits(await late[part](), await trainer[part]()))
      problems.push(`${part}() differs after a resume at step 2`);
  }

  // Each step starts from the reference's own state: what is compared is one step's arithmetic, not how float32 noise grows
  // along a trajectory that may cross a ReLU's kink.
  const starts = [{ parameters: test.params, state: untouched }, ...truth.steps];
  const numbers = [found.loss, meter.loss];
  const expected = [truth.loss, truth.meter.loss];
  for (const [i, each] of truth.steps.entries()) {
    late.setParameters(starts[i].parameters);
    late.setState(starts[i].state);
    numbers.push(...(await step(late, test, i)));
    expected.push(...each.numbers);
  }
  const gaps = expected.map((value, i) => Math.abs(numbers[i] - value) / Math.max(1, Math.abs(value)));
  const maxLossError = numbers.length === expected.length ? Math.max(...gaps) : Number.POSITIVE_INFINITY;

  const trained = new Set(test.graph.params.filter((p) => p.trained).map((p) => p.name));
  const running = new Set(test.graph.params.filter((p) => !p.trained).map((p) => p.name));
  const [reached, average] = [await late.getParameters(), await late.getAverage()];
  const moved = [trained, running]
    .filter((names) => names.size > 0)
    .flatMap((names) => {
      const base = only(test.params, names);
      const compare = (a: TensorMap, b: TensorMap) =>
        worst(only(a, names), only(b, names), 0.1, changes(only(b, names), base));
      const { parameters: last } = truth.steps[truth.steps.length - 1];
      return [compare(reached, last), compare(average, truth.average)];
    })
    .reduce((a, b) => (b.error > a.error ? b : a));

  trainer.close();
  late.close();

  const limit = (what: string, error: number, most: number): void => {
    if (!(error <= most)) problems.push(`${what}: relative error ${error.toExponential(1)}, allowed ${most}`);
  };
  limit("logits", maxLogitError, tolerances.logits);
  limit("loss", maxLossError, tolerances.loss);
  limit(`gradient of ${gradient.name}`, gradient.error, tolerances.gradients);
  limit(meter.name, meter.error, tolerances.sums);
  limit(`${moved.name} after 3 steps`, moved.error, tolerances.steps);
  return {
    name: test.name,
    maxLogitError,
    maxLossError,
    maxGradientError: gradient.error,
    worstGradient: gradient.name,
    maxStepError: moved.error,
    worstStep: moved.name,
    maxSumError: meter.error,
    worstSum: meter.name,
    problems,
    parameters,
    sums: meter.sums,
  };
}
