import { expect, test } from "vitest";
import { assembleModule, FunctionBuilder } from "./emit.ts";

/** Runs one function over fresh memory of 2 pages. */
function start(f: FunctionBuilder): { floats: Float32Array; call: (...args: number[]) => void } {
  const bytes = assembleModule([f], 2, false);
  expect(WebAssembly.validate(bytes)).toBe(true);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return { floats: new Float32Array(memory.buffer), call: exports[f.name] as (...args: number[]) => void };
}

test.each([false, true])("a loop of y = 2 x + 1 over vectors (fused: %s)", (fused) => {
  const f = new FunctionBuilder("k0", 3, fused);
  const [X, Y, COUNT] = [0, 1, 2];
  const counter = f.int();
  const [two, one, x] = f.vectors(3);
  f.splatConst(2).set(two).splatConst(1).set(one);
  f.repeat(counter, { local: COUNT }, () => {
    f.get(X).load(0).set(x);
    f.get(Y).fmaValue(two, x, one).store(0);
    f.advance(X, 16).advance(Y, 16);
  });
  const { floats, call } = start(f);
  floats.set([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  call(0, 64, 2);
  expect([...floats.subarray(16, 25)]).toEqual([3, 5, 7, 9, 11, 13, 15, 17, 0]);
});

// One to three bytes of LEB128, on both sides of the sign bit of each.
test.each([16, 48, 64, 112, 128, 8176, 8192, 16384, 60000])("constants and offsets of %i", (bytes) => {
  const f = new FunctionBuilder("k0", 1, false);
  const at = f.int();
  // mem[0] = mem[at - bytes + bytes]: once as a constant back and an offset forth, then the other way round.
  f.copy(0, at, -bytes).const(0).get(at).load(bytes).store(0);
  f.copy(0, at).advance(at, bytes).const(16).get(at).load(0).store(0);
  const { floats, call } = start(f);
  floats[bytes / 4 + 8] = 7;
  floats[(2 * bytes) / 4 + 8] = 9;
  call(bytes + 32);
  expect([floats[0], floats[4]]).toEqual([7, 9]);
});

test("a comparison selects by lanes", () => {
  const f = new FunctionBuilder("k0", 1, false);
  const [a, b] = f.vectors(2);
  f.get(0).load(0).set(a).get(0).load(16).set(b);
  f.get(0).get(a).get(b).get(a).get(b).greater().select().store(32);
  f.get(0).get(a).get(b).max().store(48);
  f.get(0).get(a).abs().store(64);
  const { floats, call } = start(f);
  floats.set([1, -2, 3, 0, 0, 5, 2, 0]);
  call(0);
  expect([...floats.subarray(16, 20)]).toEqual([1, 2, 3, 0]);
  expect([...floats.subarray(8, 16)]).toEqual([1, 5, 3, 0, 1, 5, 3, 0]);
});

test("floats are widened to doubles half by half", () => {
  const f = new FunctionBuilder("k0", 1, false);
  f.get(0).get(0).load(0).promoteLow().get(0).load(16).addDouble().store(16);
  const { floats, call } = start(f);
  floats.set([0.5, 3]);
  const doubles = new Float64Array(floats.buffer);
  doubles.set([1e9, -1], 2);
  call(0);
  expect([...doubles.subarray(2, 4)]).toEqual([1e9 + 0.5, 2]);
});
