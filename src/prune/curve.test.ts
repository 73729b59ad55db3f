import { expect, it } from "vitest";
import { doubling } from "../net/make.ts";
import { bestMean, chooseSize, curveChart, lossByLevel, removedText } from "./curve.ts";
import type { ChannelRef, CurveRecord } from "./types.ts";

const record = (step: number, meanDice: number | null, removed: ChannelRef[] = []): CurveRecord => ({
  step,
  removed,
  widths: {},
  parameters: 1000 - 100 * step,
  parametersWithoutNorm: 900,
  macs: 1,
  trainLoss: 1 / (step + 1),
  validationDice: meanDice === null ? null : [meanDice - 0.01, meanDice + 0.01],
  meanDice,
  model: `sizes/step-000${step}.safetensors`,
  seconds: 1,
});

it("chooses the best size on validation, of equals the smallest, or the smallest close to it", () => {
  const curve = [record(0, 0.9), record(1, 0.92), record(2, 0.92), record(3, 0.915), record(4, null), record(5, 0.8)];
  expect(bestMean(curve)).toBe(0.92);
  expect(chooseSize(curve, 0).step).toBe(2);
  expect(chooseSize(curve, 0.0051).step).toBe(3);
  expect(chooseSize(curve, 0.5).step).toBe(5);
  const unchecked = [record(0, null), record(1, null)];
  expect([bestMean(unchecked), chooseSize(unchecked, 0).step]).toEqual([null, 1]);
});

it("tells what each level lost", () => {
  const net = doubling(2, { levels: 3, convs: 1, inputChannels: 1, outputChannels: 1 });
  const gone = (...layers: string[]): ChannelRef[] => layers.map((layer, channel) => ({ layer, channel }));
  const curve = [
    record(0, null),
    record(1, null, gone("bottleneck.0", "bottleneck.0", "decoder.1.up")),
    record(2, null, gone("bottleneck.0")),
  ];
  expect(lossByLevel(net, curve)).toEqual([
    { level: 0, channels: 6, removed: 0, layers: { "encoder.0.0": 0, "decoder.0.up": 0, "decoder.0.0": 0 } },
    { level: 1, channels: 12, removed: 1, layers: { "encoder.1.0": 0, "decoder.1.up": 1, "decoder.1.0": 0 } },
    { level: 2, channels: 8, removed: 3, layers: { "bottleneck.0": 3 } },
  ]);
  expect(removedText(curve[1].removed)).toBe("2 x bottleneck.0, decoder.1.up");
});

it("draws a curve for each class, or the loss where nothing was checked", () => {
  const svg = curveChart([record(0, 0.8), record(1, 0.9)], ["head", "tail"], "unet:4 pruned");
  expect(svg).toContain("validation head");
  expect(svg).toContain("parameters");
  expect(curveChart([record(0, null), record(1, null)], ["head"], "unet:4 pruned")).toContain("unet:4 pruned: loss");
});
