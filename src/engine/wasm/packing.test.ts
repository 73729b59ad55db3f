import { describe, expect, test } from "vitest";
import type { Vec3 } from "../../volume/volume.ts";
import { smallGraph } from "../conformance-cases.ts";
import type { TensorMap } from "../types.ts";
import { layoutsOf } from "./lower-forward.ts";
import { eachConvWeight, eachUpconvWeight, packConv, packUpconv } from "./packing.ts";
import { type ParameterSlot, placeParameters, readParameters, writeParameters } from "./parameters.ts";
import { type TileChoice, tileChoices } from "./tiles.ts";

/** A net with odd and large widths, two sources and both kinds of weights. */
const graph = smallGraph({
  batch: 1,
  shape: [2, 4, 6],
  inputChannels: 3,
  widths: [[5], [29]],
  decoder: [{ up: 27, convs: [13] }],
  kernels: [
    [3, 3, 3],
    [1, 3, 1],
  ],
  pools: [[2, 1, 2]],
  skips: [true],
  outputChannels: 3,
  output: "softmax",
  tail: { order: "conv-act-norm", norm: "batch", slope: 0, eps: 1e-5, momentum: 0.1 },
});

describe.each(Object.values(tileChoices))("$name", (tiles: TileChoice) => {
  const block = placeParameters(graph, layoutsOf(graph), tiles);

  test("natural to packed to natural changes nothing; the rest stays 0", () => {
    let next = 1;
    const values: TensorMap = new Map(
      graph.params.map(({ name, shape }) => [
        name,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next++),
      ]),
    );
    const memory = new Float32Array(block.bytes / 4);
    writeParameters(memory, 0, block.slots, values);
    expect(readParameters(memory, 0, block.slots)).toEqual(values);
    expect(memory.filter((value) => value !== 0)).toHaveLength(next - 1);
  });

  test("slots lie behind each other and hold what they visit", () => {
    const ends = block.slots.map((slot) => slot.offset / 4 + slot.floats);
    block.slots.slice(1).forEach((slot: ParameterSlot, i) => {
      expect(slot.offset / 4).toBeGreaterThanOrEqual(ends[i]);
    });
    for (const slot of block.slots) {
      const seen = new Set<number>();
      slot.each((_, at) => {
        seen.add(at);
      });
      expect(Math.max(...seen)).toBeLessThan(slot.floats);
      expect(seen.size).toBe(slot.info.shape.reduce((a, b) => a * b, 1));
    }
  });
});

test("a convolution's weights by hand", () => {
  // 1 -> 2 channels, kernel 1x1x3: [tap][4 lanes], output channels side by side.
  const net = { kind: "conv", name: "c", inputs: [0], output: 1, kernel: [1, 1, 3] as Vec3, tail: null } as const;
  const [input] = layoutsOf(graph);
  const packed = packConv({ ...net, inputs: [0] }, [{ ...input, channels: 1, padded: 1 }], 2, tileChoices["fma-128"]);
  const at: number[] = [];
  eachConvWeight(packed, (natural, place) => {
    at[natural] = place;
  });
  expect([packed.floats, at]).toEqual([12, [0, 4, 8, 1, 5, 9]]);
});

test("a transposed convolution's weights by hand", () => {
  // 2 -> 1 channel, factor 1x2x2: [fH][input channel][fW, padded output channel].
  const node = { kind: "upconv", name: "u", inputs: [0], output: 1, factor: [1, 2, 2] as Vec3 } as const;
  const packed = packUpconv({ ...node, inputs: [0] }, 2, 1, tileChoices["fma-128"]);
  const at: number[] = [];
  eachUpconvWeight(packed, (natural, place) => {
    at[natural] = place;
  });
  expect([packed.floats, at]).toEqual([32, [0, 4, 16, 20, 8, 12, 24, 28]]);
});
