import { describe, expect, test } from "vitest";
import { random } from "../../util/random.ts";
import { assembleModule, FunctionBuilder } from "./emit.ts";
import { filterRows, gradientLine, inputLine, lineRegisters, outputLine } from "./winograd-lines.ts";

const lines = { input: inputLine, output: outputLine, gradient: gradientLine };

/** A line transform as a function of numbers: value i of vector g is float 4 (i G + g) of the input, the rest of a vector 0. */
function transform(kind: keyof typeof lines, m: 2 | 4, fused: boolean) {
  const G = 2;
  const f = new FunctionBuilder("k0", 2, fused);
  lines[kind](f, m, lineRegisters(f), {
    G,
    load: (i, g) => f.get(0).load((i * G + g) * 16),
    store: (i, push) => {
      for (let g = 0; g < G; g++) {
        f.get(1);
        push(g);
        f.store((i * G + g) * 16);
      }
    },
  });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const module = new WebAssembly.Module(assembleModule([f], 1, false));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const floats = new Float32Array(memory.buffer);
  return (values: number[], count: number): number[] => {
    values.forEach((value, i) => {
      floats[4 * (i * G)] = value;
      floats[4 * (i * G + 1)] = -value;
    });
    (exports.k0 as (...args: number[]) => void)(0, 4096);
    const out = Array.from({ length: count }, (_, i) => floats[1024 + 4 * i * G]);
    expect(
      Array.from({ length: count }, (_, i) => -floats[1024 + 4 * (i * G + 1)]),
      "the second vector",
    ).toEqual(out.map((value) => (value === 0 ? expect.closeTo(0) : value)));
    return out;
  };
}

// Of float32 values of size 1 and constants up to 2.5.
const digits = 5;

describe.each([
  [2, true],
  [2, false],
  [4, true],
  [4, false],
] as const)("F(%i, 3), fused %s", (m, fused) => {
  const n = m + 2;
  const [input, output, gradient] = (["input", "output", "gradient"] as const).map((kind) => transform(kind, m, fused));
  const generator = random(5);
  const normals = (count: number): number[] => Array.from({ length: count }, () => generator.normal());
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, i) => sum + value * b[i], 0);

  test("the products of transformed window and filter transform to the filtered window", () => {
    const [d, g] = [normals(n), normals(3)];
    const products = input(d, n).map((value, i) => value * dot(filterRows[m][i], g));
    const direct = Array.from({ length: m }, (_, i) => dot(g, d.slice(i)));
    expect(output(products, m)).toEqual(direct.map((value) => expect.closeTo(value, digits)));
  });

  test("the gradient's transform is the transpose of the outputs'", () => {
    const [p, y] = [normals(n), normals(m)];
    expect(dot(output(p, m), y)).toBeCloseTo(dot(p, gradient(y, n)), digits);
  });
});
