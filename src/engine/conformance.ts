import type { ConformanceCase } from "./conformance-cases.ts";
import { createReferenceBackend } from "./reference/backend.ts";
import type { Backend, TensorMap, Trainer } from "./types.ts";

export { type ConformanceCase, conformanceCases } from "./conformance-cases.ts";

/** Largest errors allowed, all relative: see {@link ConformanceResult}. */
export interface Tolerances {
  logits: number;
  loss: number;
  gradients: number;
  steps: number;
}

export const defaultTolerances: Tolerances = { logits: 5e-5, loss: 5e-5, gradients: 5e-4, steps: 2e-3 };

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
  /** A sentence for each breach; empty means the backend conforms. */
  problems: string[];
  /** Parameters after 3 steps, to compare runs with each other. */
  parameters: TensorMap;
}

const largest = (values: Float32Array): number => values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
const difference = (a: Float32Array, b: Float32Array): Float32Array => a.map((value, i) => value - b[i]);

function sameBits(a: TensorMap, b: TensorMap): boolean {
  return (
    a.size === b.size &&
    [...a].every(([name, data]) => {
      const other = b.get(name);
      return other?.length === data.length && data.every((value, i) => Object.is(value, other[i]));
    })
  );
}

/** Worst relative error over tensors, on the scale of `truth - base` (or of `truth`), with a floor at `share` of the largest scale. */
function worst(found: TensorMap, truth: TensorMap, share: number, base?: TensorMap): { error: number; name: string } {
  const scales = new Map<string, number>();
  for (const [name, data] of truth) scales.set(name, largest(base ? difference(data, base.get(name)!) : data));
  const floor = Math.max(share * Math.max(...scales.values()), 1e-12);
  let result = { error: 0, name: "" };
  for (const [name, data] of truth) {
    const other = found.get(name);
    const gap = other?.length === data.length ? largest(difference(other, data)) : Number.POSITIVE_INFINITY;
    const error = gap / Math.max(scales.get(name)!, floor);
    // Written so that NaN counts as worst.
    if (!(error <= result.error)) result = { error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error, name };
  }
  return result;
}

const only = (values: TensorMap, names: Set<string>): TensorMap =>
  new Map([...values].filter(([name]) => names.has(name)));

/** Steps `trainer` through the batches of the case from `from` to `to`. */
function run(trainer: Trainer, test: ConformanceCase, from: number, to: number): number[] {
  const numbers: number[] = [];
  for (let i = from; i < to; i++) {
    const options = { learningRate: test.learningRate, dropout: test.dropout?.[i] };
    const { loss, dice, gradientNorm } = trainer.step(test.batches[i], options);
    numbers.push(loss, ...dice, gradientNorm);
  }
  return numbers;
}

async function checkInference(
  backend: Backend,
  reference: Backend,
  test: ConformanceCase,
  problems: string[],
): Promise<number> {
  const { input } = test.batches[0];
  const [program, truth] = await Promise.all([backend.inference(test.graph), reference.inference(test.graph)]);
  program.setParameters(test.params);
  truth.setParameters(test.params);
  const expected = truth.logits(input);
  const first = program.logits(input);
  const kept = first.slice();
  // Buffers are reused between calls: nothing of one input may leak into the next, nor into a result handed out.
  program.logits(test.batches[1].input);
  const bits = (values: Float32Array): TensorMap => new Map([["logits", values]]);
  if (!sameBits(bits(first), bits(kept))) problems.push("logits handed out were changed by a later call");
  const again = program.logits(input);
  if (!sameBits(bits(again), bits(kept))) problems.push("the same input gave other logits after another input");
  program.close();
  truth.close();
  return worst(bits(kept), bits(expected), 1).error;
}

/** Runs one case on a backend and on the reference, and compares. */
export async function runConformance(
  backend: Backend,
  test: ConformanceCase,
  tolerances: Tolerances = defaultTolerances,
): Promise<ConformanceResult> {
  const reference = createReferenceBackend();
  const problems: string[] = [];
  const maxLogitError = await checkInference(backend, reference, test, problems);

  const start = async (engine: Backend, params: TensorMap): Promise<Trainer> => {
    const trainer = await engine.trainer(test.graph, test.spec);
    trainer.setParameters(params);
    return trainer;
  };
  const trainer = await start(backend, test.params);
  const truth = await start(reference, test.params);

  const options = { dropout: test.dropout?.[0] };
  const found = trainer.gradients(test.batches[0], options);
  const expected = truth.gradients(test.batches[0], options);
  const gradient = worst(found.gradients, expected.gradients, 1e-3);
  if (!sameBits(trainer.getParameters(), test.params)) problems.push("gradients() changed the parameters");

  // Each step starts from the reference's own state: what is compared is one step's arithmetic, not how float32 noise grows
  // along a trajectory that may cross a ReLU's kink.
  const paced = await start(backend, test.params);
  const numbers = [found.loss];
  const truths = [expected.loss];
  for (let i = 0; i < 3; i++) {
    if (i > 0) {
      paced.setParameters(truth.getParameters());
      paced.setState(truth.getState());
    }
    numbers.push(...run(paced, test, i, i + 1));
    truths.push(...run(truth, test, i, i + 1));
  }
  run(trainer, test, 0, 3);
  const gaps = truths.map((value, i) => Math.abs(numbers[i] - value) / Math.max(1, Math.abs(value)));
  const maxLossError = numbers.length === truths.length ? Math.max(...gaps) : Number.POSITIVE_INFINITY;

  const trained = new Set(test.graph.params.filter((p) => p.trained).map((p) => p.name));
  const running = new Set(test.graph.params.filter((p) => !p.trained).map((p) => p.name));
  const step = [trained, running]
    .filter((names) => names.size > 0)
    .flatMap((names) => {
      const base = only(test.params, names);
      const compare = (a: TensorMap, b: TensorMap) => worst(only(a, names), only(b, names), 0.1, base);
      return [compare(paced.getParameters(), truth.getParameters()), compare(paced.getAverage(), truth.getAverage())];
    })
    .reduce((a, b) => (b.error > a.error ? b : a));

  const early = await start(backend, test.params);
  run(early, test, 0, 2);
  const late = await start(backend, early.getParameters());
  late.setState(early.getState());
  run(late, test, 2, 3);
  for (const part of ["getParameters", "getAverage", "getState"] as const) {
    if (!sameBits(late[part](), trainer[part]())) problems.push(`${part}() differs after a resume at step 2`);
  }
  const parameters = trainer.getParameters();
  for (const each of [trainer, paced, truth, early, late]) each.close();

  const limit = (what: string, error: number, most: number): void => {
    if (!(error <= most)) problems.push(`${what}: relative error ${error.toExponential(1)}, allowed ${most}`);
  };
  limit("logits", maxLogitError, tolerances.logits);
  limit("loss", maxLossError, tolerances.loss);
  limit(`gradient of ${gradient.name}`, gradient.error, tolerances.gradients);
  limit(`${step.name} after 3 steps`, step.error, tolerances.steps);
  return {
    name: test.name,
    maxLogitError,
    maxLossError,
    maxGradientError: gradient.error,
    worstGradient: gradient.name,
    maxStepError: step.error,
    worstStep: step.name,
    problems,
    parameters,
  };
}
