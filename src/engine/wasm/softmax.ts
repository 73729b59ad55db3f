import { assembleModule, FunctionBuilder } from "./emit.ts";
import { expEmitter } from "./exponential.ts";

/** Voxels that are taken at once: all classes of them stay in the processor's cache. */
const CHUNK = 2048;

/** With more classes the code would be long; the caller's plain form serves them. */
const MOST_CLASSES = 16;

interface Program {
  floats: Float32Array;
  run(groups: number): void;
}

const programs = new Map<number, Program | null>();

/**
 * Softmax over the classes of values [K, voxels], in place, four voxels at a time: about five times as fast as Math.exp. False, with
 * nothing done, where this platform has no SIMD or there are more than 16 classes. Logits are
 * subtracted in float32: the relative error of a probability is below 1e-6 + 6e-8 times the distance of its logit from the largest.
 */
export function softmaxVectors(values: Float32Array, classes: number): boolean {
  if (classes < 1 || classes > MOST_CLASSES) return false;
  let program = programs.get(classes);
  if (program === undefined) {
    program = compile(classes);
    programs.set(classes, program);
  }
  if (!program) return false;
  const { floats, run } = program;
  const voxels = values.length / classes;
  for (let from = 0; from < voxels; from += CHUNK) {
    const count = Math.min(CHUNK, voxels - from);
    for (let k = 0; k < classes; k++) {
      const at = k * voxels + from;
      floats.set(values.subarray(at, at + count), k * CHUNK);
    }
    run(Math.ceil(count / 4));
    for (let k = 0; k < classes; k++) values.set(floats.subarray(k * CHUNK, k * CHUNK + count), k * voxels + from);
  }
  return true;
}

function compile(classes: number): Program | null {
  const f = new FunctionBuilder("k0", 2, false);
  const [counter, top, total, x] = [f.int(), f.vector(), f.vector(), f.vector()];
  const e = f.vectors(classes);
  const exp = expEmitter(f);
  const [AT, GROUPS] = [0, 1];
  const at = (k: number): number => k * CHUNK * 4;
  f.repeat(counter, { local: GROUPS }, () => {
    for (let k = 0; k < classes; k++) {
      f.get(AT).load(at(k)).set(e[k]);
      if (k === 0) f.get(e[0]).set(top);
      else f.get(top).get(e[k]).max().set(top);
    }
    for (let k = 0; k < classes; k++) {
      f.get(e[k]).get(top).sub().set(x);
      exp(x);
      f.set(e[k]);
      if (k === 0) f.get(e[0]).set(total);
      else f.get(total).get(e[k]).add().set(total);
    }
    for (let k = 0; k < classes; k++) f.get(AT).get(e[k]).get(total).div().store(at(k));
    f.advance(AT, 16);
  });
  const pages = Math.ceil((classes * CHUNK * 4) / 65536);
  const bytes = assembleModule([f], pages, false);
  if (!WebAssembly.validate(bytes)) return null;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const kernel = exports.k0 as (at: number, groups: number) => void;
  return { floats: new Float32Array(memory.buffer), run: (groups) => kernel(0, groups) };
}
