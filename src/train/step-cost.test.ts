import { expect, test } from "vitest";
import { parseNet } from "../net/make.ts";
import type { Vec3 } from "../volume/volume.ts";
import { stepCost } from "./step-cost.ts";

const netOf = (name: string, dimensions: 2 | 3) =>
  parseNet(name, { levels: 5, convs: 2, inputChannels: 1, outputChannels: 2, dimensions });

test("the benchmark's training steps, in ms as README.md has them, within 15 %", () => {
  const cases: [string, Vec3, number, number][] = [
    ["lean:8", [64, 64, 64], 2, 116],
    ["unet:4", [64, 64, 64], 2, 74],
    ["lean:16", [64, 64, 64], 2, 265],
    ["unet:16", [64, 64, 64], 2, 446],
    ["lean:8", [1, 256, 256], 4, 55.4],
    ["lean:16", [1, 256, 256], 4, 85],
    ["unet:16", [1, 256, 256], 4, 258],
  ];
  for (const [name, window, batch, ms] of cases) {
    const estimate = 1000 * stepCost(netOf(name, window[0] === 1 ? 2 : 3), { batch, window });
    expect(Math.abs(estimate / ms - 1), `${name} ${window}: ${estimate}`).toBeLessThan(0.15);
  }
});

test("a batch costs its windows; 12 channels cost what 16 do, but for the parameters", () => {
  const window: Vec3 = [32, 32, 32];
  const [twelve, sixteen] = [netOf("lean:12", 3), netOf("lean:16", 3)];
  const [one, two, three] = [1, 2, 3].map((batch) => stepCost(sixteen, { batch, window }));
  expect(three - two).toBeCloseTo(two - one, 12);
  const padded = stepCost(twelve, { batch: 2, window }) - stepCost(twelve, { batch: 1, window });
  expect(padded).toBeCloseTo(two - one, 12);
});
