import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildGraph, initialise } from "./build.ts";
import { countNet, countParameters, doublingParameters, flatParameters } from "./count.ts";
import { doubling, flat } from "./make.ts";

const parameters = (net: Parameters<typeof countParameters>[0]) => countParameters(net).parameters;

describe("parameters of the published nets", () => {
  const five = { levels: 5, convs: 2, inputChannels: 1, outputChannels: 1 };
  test.each([
    [1, 22_362, 686],
    [2, 88_807, 2_569],
    [3, 199_336, 5_650],
    [4, 353_949, 9_929],
    [8, 1_413_241, 39_025],
  ])("5 levels x 2 convs, width %i", (width, double, lean) => {
    expect([parameters(doubling(width, five)), parameters(flat(width, five))]).toEqual([double, lean]);
    expect([doublingParameters(width, 4, 1), flatParameters(width, 4, 1)]).toEqual([double, lean]);
  });

  test.each([
    [4, 134_181, 10_697],
    [6, 301_207, 23_785],
    [8, 534_857, 42_033],
    [12, 1_202_029, 94_009],
    [16, 2_135_697, 166_625],
    [24, 4_802_521, 373_777],
  ])("4 levels x 3 convs, width %i", (width, double, lean) => {
    const four = { levels: 4, convs: 3, inputChannels: 1, outputChannels: 1 };
    expect([parameters(doubling(width, four)), parameters(flat(width, four))]).toEqual([double, lean]);
  });

  test("STAMP's net with two outputs, and the flat net of equal parameters", () => {
    const two = { ...five, outputChannels: 2 };
    expect([parameters(doubling(4, two)), parameters(flat(8, two))]).toEqual([353_954, 39_034]);
    expect([doublingParameters(4, 4, 2), flatParameters(8, 4, 2)]).toEqual([353_954, 39_034]);
    expect([parameters(flat(24, five)), flatParameters(24, 4, 1)]).toEqual([347_089, 347_089]);
  });

  test("without the norm: 18 convolutions of 8 channels have 18 x 16 numbers less", () => {
    expect(countParameters(flat(8, five)).parametersWithoutNorm).toBe(39_025 - 288);
  });
});

test("closed forms equal the layer count, which equals the numbers in the tensors", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 2, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (c, l, k) => {
        const options = { levels: l, convs: 2, inputChannels: 1, outputChannels: k };
        const [lean, double] = [flat(c, options), doubling(c, options)];
        expect(parameters(lean)).toBe(flatParameters(c, l - 1, k));
        expect(parameters(double)).toBe(doublingParameters(c, l - 1, k));
        const side = 2 ** (l - 1);
        const graph = buildGraph(lean, { batch: 1, shape: [side, side, side] });
        const values = initialise(graph, 1);
        const trained = graph.params.filter((p) => p.trained);
        expect(trained.reduce((sum, p) => sum + values.get(p.name)!.length, 0)).toBe(parameters(lean));
      },
    ),
    { numRuns: 20 },
  );
});

test("multiply-accumulates and memory of a net small enough for paper", () => {
  const net = doubling(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 3 });
  const count = countNet(net, { batch: 2, shape: [4, 4, 4] });
  // Voxels 2 x 64 and 2 x 8. Rows: encoder, pool, bottleneck, up, decoder, head.
  expect(count.layers.map((l) => l.macs)).toEqual([
    128 * 27 * 2,
    0,
    16 * 27 * 2 * 4,
    128 * 4 * 2,
    128 * 27 * 4 * 2,
    128 * 2 * 3,
  ]);
  expect(count.macs).toBe(count.layers.reduce((sum, l) => sum + l.macs, 0));
  // Channels x voxels: input 128, encoder 256, pool 32, bottleneck 64, up 256, decoder 256, head 384.
  // Worst moment: while the decoder's convolution reads up and skip.
  expect(count.inferenceBytes).toBe(4 * (256 + 256 + 256));
  expect(count.trainingBytes).toBe(4 * (128 + 2 * 256 + 32 + 2 * 64 + 256 + 2 * 256 + 384) + count.inferenceBytes);
  expect(count.layers[4]).toMatchObject({
    name: "decoder.0.0",
    inputs: 4,
    outputs: 2,
    shape: [4, 4, 4],
    parameters: 222,
  });
});

test("receptive field", () => {
  const options = { levels: 2, convs: 1, inputChannels: 1, outputChannels: 1 };
  const field = (net: Parameters<typeof countParameters>[0], side: number) =>
    countNet(net, { batch: 1, shape: [side, side, side] }).receptiveField;
  // Back from output voxel 0: decoder [-1, 1], coarse [-1, 0], bottleneck [-2, 1], pooled [-4, 3], encoder [-5, 4].
  expect(field(flat(1, options), 2)).toEqual([10, 10, 10]);
  expect(field(flat(1, { ...options, dimensions: 2 }), 2)).toEqual([1, 10, 10]);
  // 5 levels x 2 convolutions: the two ends of the interval followed with plain arithmetic.
  const ends = (start: number) => {
    let [from, to] = [start, start];
    for (let level = 0; level < 4; level++) [from, to] = [Math.floor((from - 2) / 2), Math.floor((to + 2) / 2)];
    [from, to] = [from - 2, to + 2];
    for (let level = 0; level < 4; level++) [from, to] = [from * 2 - 2, to * 2 + 1 + 2];
    return to - from + 1;
  };
  const longest = Math.max(...Array.from({ length: 16 }, (_, i) => ends(i)));
  expect(field(flat(1, { ...options, levels: 5, convs: 2 }), 16)[0]).toBe(longest);
});
