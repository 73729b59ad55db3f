import { describe, expect, it } from "vitest";
import type { ChannelSums } from "../engine/types.ts";
import { buildGraph, initialise } from "../net/build.ts";
import { flat } from "../net/make.ts";
import { random } from "../util/random.ts";
import { batchScores, normaliseByLayer, parseCriterion, randomScores, weightScores } from "./importance.ts";

/** The sums of u [N, C, voxels] with gradient g, by their definition. */
function sumsOf(u: number[][][], g: number[][][]): ChannelSums {
  const sum = (value: (n: number, c: number, i: number) => number) =>
    Float64Array.from(u.flatMap((item, n) => item.map((row, c) => row.reduce((s, _, i) => s + value(n, c, i), 0))));
  return {
    voxels: u[0][0].length,
    batch: u.length,
    channels: u[0].length,
    l1: sum((n, c, i) => Math.abs(u[n][c][i])),
    l2: sum((n, c, i) => u[n][c][i] ** 2),
    taylor: sum((n, c, i) => u[n][c][i] * g[n][c][i]),
  };
}

// Two items, two channels, two voxels.
const u = [
  [
    [3, -4],
    [0, 2],
  ],
  [
    [1, 0],
    [-6, 8],
  ],
];
const g = [
  [
    [1, 2],
    [0, -1],
  ],
  [
    [4, 0],
    [1, 0.5],
  ],
];
const table = sumsOf(u, g);

describe("importance of channels in a batch, by hand", () => {
  it("l1: (|3| + |-4| + |1|) / 2 and (2 + 14) / 2", () => {
    expect([...batchScores("l1", table)]).toEqual([4, 8]);
  });
  it("l2: the norm of every item first, (5 + 1) / 2 and (2 + 10) / 2", () => {
    expect([...batchScores("l2", table)]).toEqual([3, 6]);
  });
  it("l1-sd: of 7 and 1, of 2 and 14", () => {
    expect([...batchScores("l1-sd", table)]).toEqual([3, 6]);
  });
  it("taylor: the sign goes after the mean, |3 - 8 + 4 + 0| / 4 and |0 - 2 - 6 + 4| / 4", () => {
    expect([...batchScores("taylor", table)]).toEqual([0.25, 1]);
  });
  it("l1-sd of a batch of one is refused", () => {
    expect(() => batchScores("l1-sd", sumsOf(u.slice(1), g))).toThrow("a --batch of 2 or more for --criterion l1-sd");
  });
});

describe("importance by the parameters", () => {
  const graph = buildGraph(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }), {
    batch: 1,
    shape: [2, 2, 2],
  });
  const tensors = initialise(graph, 1);
  for (const data of tensors.values()) data.fill(0);

  it("weight: the norm of an output channel's filter, whichever axis it lies along", () => {
    // [Cout, Cin, 27]: 3 and 4 in channel 0, one voxel each of both inputs
    const weight = tensors.get("bottleneck.0.weight")!;
    weight.set([3], 0);
    weight.set([4], 27);
    weight.set([-2], 54);
    // [Cin, Cout, 8]
    tensors.get("decoder.0.up.weight")!.set([6], 8);
    tensors.get("decoder.0.up.weight")!.set([8], 24);
    const scores = weightScores("weight", graph, tensors);
    expect([...scores.keys()]).toEqual(["encoder.0.0", "bottleneck.0", "decoder.0.up", "decoder.0.0"]);
    expect([...scores.get("bottleneck.0")!]).toEqual([5, 2]);
    expect([...scores.get("decoder.0.up")!]).toEqual([0, 10]);
  });

  it("bn-scale: transposed convolutions have no norm and are left out", () => {
    tensors.get("encoder.0.0.norm.weight")!.set([-2, 0.5]);
    const scores = weightScores("bn-scale", graph, tensors);
    expect([...scores.keys()]).toEqual(["encoder.0.0", "bottleneck.0", "decoder.0.0"]);
    expect([...scores.get("encoder.0.0")!]).toEqual([2, 0.5]);
  });

  it("bn-scale on a net without norms is refused", () => {
    const bare = buildGraph(
      flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2, unit: { norm: "none" } }),
      { batch: 1, shape: [2, 2, 2] },
    );
    expect(() => weightScores("bn-scale", bare, initialise(bare, 1))).toThrow("a net with norms for --criterion");
  });
});

it("normalises every layer by its own L2 norm; a dead layer stays at 0", () => {
  const scores = normaliseByLayer(
    new Map([
      ["a", Float64Array.of(3, 4)],
      ["b", Float64Array.of(0, 0)],
      ["c", Float64Array.of(0.001)],
    ]),
  );
  expect([...scores].map(([layer, values]) => [layer, ...values])).toEqual([
    ["a", 0.6, 0.8],
    ["b", 0, 0],
    ["c", 1],
  ]);
});

it("random: the lowest channel is uniform over all channels, not over layers", () => {
  const layers = [
    { name: "narrow", width: 2 },
    { name: "wide", width: 8 },
  ];
  const draws = 4000;
  let narrow = 0;
  for (let i = 0; i < draws; i++) {
    const scores = randomScores(layers, random(1, i));
    if (Math.min(...scores.get("narrow")!) < Math.min(...scores.get("wide")!)) narrow++;
  }
  // 0.2 within 4 standard deviations of 0.0063
  expect(Math.abs(narrow / draws - 0.2)).toBeLessThan(0.026);
});

it("names the criterion that was meant", () => {
  expect(parseCriterion("bn-scale")).toBe("bn-scale");
  expect(() => parseCriterion("tailor")).toThrow(
    'Unknown --criterion "tailor": expected l2, l1, l1-sd, taylor, weight, bn-scale, random; did you mean taylor?',
  );
});
