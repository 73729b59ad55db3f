import { expect, test } from "vitest";
import { assembleModule, FunctionBuilder } from "./emit.ts";
import { expEmitter, logEmitter } from "./exponential.ts";

/** Runs an emitter on four numbers at a time. */
function over(make: (f: FunctionBuilder) => (x: number) => void, values: number[]): number[] {
  const f = new FunctionBuilder("k0", 1, false);
  const x = f.vector();
  const emit = make(f);
  f.get(0).load(0).set(x).get(0);
  emit(x);
  f.store(0);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const module = new WebAssembly.Module(assembleModule([f], 1, false));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const floats = new Float32Array(memory.buffer, 0, 4);
  return values.map((value) => {
    floats.fill(value);
    (exports.k0 as (at: number) => void)(0);
    return floats[2];
  });
}

test("exp: relative error below 2e-7 from -87 to 88; 1 at 0; a floor below", () => {
  const values = [0, -87, 88, ...Array.from({ length: 2000 }, (_, i) => Math.fround(-87 + (i * 175) / 2000))];
  const found = over(expEmitter, values);
  const errors = found.map((value, i) => Math.abs(value / Math.exp(values[i]) - 1));
  expect(Math.max(...errors)).toBeLessThan(2e-7);
  expect(found[0]).toBe(1);
  expect(over(expEmitter, [-1000, -Number.MAX_VALUE])).toEqual([found[1], found[1]]);
});

test("log: absolute error below 2e-7 from 1 to 256, and near 0 and 1", () => {
  const values = [1, 2, 256, 0.5, 1e-30, ...Array.from({ length: 2000 }, (_, i) => Math.fround(1 + (i * 255) / 2000))];
  const found = over(logEmitter, values);
  // Half a unit in the last place of float32 at log 256 = 5.5 is 2.4e-7, at 69 it is 4e-6.
  found.forEach((value, i) => {
    const exact = Math.log(values[i]);
    expect(Math.abs(value - exact)).toBeLessThan(2e-7 * Math.max(1, Math.abs(exact)));
  });
  expect(found[0]).toBe(0);
});
