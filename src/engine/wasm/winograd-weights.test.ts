import { expect, test } from "vitest";
import { random } from "../../util/random.ts";
import { assembleModule, FunctionBuilder } from "./emit.ts";
import { emitWeightGradientTransform, emitWeightTransform, type WinogradWeights } from "./winograd-weights.ts";

/** Index of the transformed weights; the packed ones are at 0. */
const AT = 4096;

/** Both transforms, ready to run. */
function start(spec: WinogradWeights) {
  const [to, back] = [new FunctionBuilder("to", 3, false), new FunctionBuilder("back", 3, false)];
  emitWeightTransform(to, spec);
  emitWeightGradientTransform(back, spec);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const module = new WebAssembly.Module(assembleModule([to, back], 1, false));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const run = (name: string) => (exports[name] as (...args: number[]) => void)(0, 4 * AT, 1);
  return { floats: new Float32Array(memory.buffer), run };
}

/** 1 channel, 4 outputs: packed [3][3][4], transformed [4][4][4]. */
const one: WinogradWeights = { m: 2, kd: 1, V: 1, blockFloats: 36, sources: [{ offset: 0, channels: 1 }] };

// G has the rows (1, 0, 0), (1, 1, 1) / 2, (1, -1, 1) / 2, (0, 0, 1), so a filter that is 1 at (i, j) and 0 elsewhere gives the
// outer product of G's columns i and j.
test.each([
  [0, 0, [1, 0.5, 0.5, 0], [1, 0.5, 0.5, 0]],
  [1, 1, [0, 0.5, -0.5, 0], [0, 0.5, -0.5, 0]],
  [2, 1, [0, 0.5, 0.5, 1], [0, 0.5, -0.5, 0]],
])("a filter that is 1 at (%i, %i)", (kh, kw, rows, columns) => {
  const { floats, run } = start(one);
  const lane = 2;
  floats[(kh * 3 + kw) * 4 + lane] = 1;
  run("to");
  const found = Array.from({ length: 64 }, (_, i) => floats[AT + i]);
  expect(found).toEqual(
    found
      .map((_, i) => (i % 4 === lane ? rows[i >> 4] * columns[(i >> 2) % 4] : 0))
      .map((value) => expect.closeTo(value, 12)),
  );
});

test.each([2, 4] as const)("F(%i): the way back is the transpose of the way there: <U(g), x> = <g, B(x)>", (m) => {
  const spec: WinogradWeights = {
    m,
    kd: 3,
    V: 2,
    blockFloats: 27 * 5 * 8,
    sources: [
      { offset: 0, channels: 2 },
      { offset: 27 * 2 * 8, channels: 3 },
    ],
  };
  const { floats, run } = start(spec);
  const generator = random(3);
  const normals = (n: number) => Float32Array.from({ length: n }, () => generator.normal());
  const [g, x] = [normals(27 * 5 * 8), normals((m + 2) ** 2 * 3 * 5 * 8)];
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  floats.set(g);
  run("to");
  const left = dot(floats.slice(AT, AT + x.length), x);
  floats.set(x, AT);
  run("back");
  const right = dot(floats.slice(0, g.length), g);
  // Sums of about 2000 float32 products of size 1.
  expect(Math.abs(left - right)).toBeLessThan(1e-3);
  expect(Math.abs(left)).toBeGreaterThan(1);
});
