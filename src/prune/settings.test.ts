import { describe, expect, it } from "vitest";
import { doubling, flat } from "../net/make.ts";
import { presetSettings } from "../train/presets.ts";
import { channelsOf } from "./limits.ts";
import { expectedNets, resolvePruning } from "./settings.ts";
import type { PruneOptions } from "./types.ts";

const frame = { levels: 3, convs: 2, inputChannels: 1, outputChannels: 2 };
const net = doubling(4, frame);
const plan = { dimensions: 3 as const, patch: [16, 16, 16] as [number, number, number], pools: net.pools, batch: 2 };
const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `case ${i}`);
const setup = { net, settings: presetSettings("strong", plan), trainingCases: ids(160), validationCases: ids(40) };
const resolve = (options: Partial<PruneOptions> = {}, more: Partial<typeof setup> = {}) =>
  resolvePruning({ out: "", ...options }, { ...setup, ...more });

describe("settings of pruning", () => {
  it("have defaults: an epoch is a pass over the cases, a tenth of the parameters is the aim", () => {
    const { pruning, settings } = resolve();
    expect(pruning).toMatchObject({
      ...{ criterion: "l2", pick: "stamp", remove: 4, warmSteps: 800, recoverySteps: 80, epochSteps: 80 },
      ...{ rankBatches: 32, targeted: true, recoveryRate: 0.01, checkEvery: 1, checkCases: 40, patience: 0 },
    });
    expect(pruning.until).toMatchObject({ channels: null, diceDrop: null });
    expect(settings.dropout).toBe(0.005);
  });

  it("refuse what only plain training has", () => {
    const more = (settings: object) => ({ settings: { ...setup.settings, ...settings } });
    expect(() => resolve({}, more({ deepSupervision: true }))).toThrow("but got deep supervision; leave it out");
    expect(() => resolve({}, more({ distil: ["runs/large"] }))).toThrow("but got a model to learn from; leave it out");
  });

  it("rank nothing and keep the dropout where chance picks at the largest layer", () => {
    const { pruning, settings } = resolve({ pick: "random-at-largest" });
    expect(pruning).toMatchObject({ targeted: false, rankBatches: 0 });
    expect(settings.dropout).toBe(0);
    expect(resolve({ pick: "random-at-largest", targeted: true }).pruning.rankBatches).toBe(32);
    expect(resolve({ criterion: "weight" }).pruning.rankBatches).toBe(0);
    expect(
      resolve({ settings: { dropout: 0.2 } }, { settings: { ...setup.settings, dropout: 0.2 } }).settings.dropout,
    ).toBe(0.2);
  });

  it("count steps or epochs, and train a trained model no further before its first removal", () => {
    const { pruning } = resolve({ warm: { steps: 7 }, recovery: { epochs: 3 }, epochSteps: 5 });
    expect(pruning).toMatchObject({ warmSteps: 7, recoverySteps: 15, epochSteps: 5 });
    expect(resolve({ from: "runs/a" }).pruning.warmSteps).toBe(0);
  });

  it("augment by the length of the whole run", () => {
    expect(resolve({ warm: { steps: 10 }, recovery: { steps: 1 } }).settings.augment).toBe("light");
    expect(resolve({ warm: { steps: 3000 } }).settings.augment).toBe("full");
    expect(resolve({ remove: 1, warm: { steps: 10 } }).settings.augment).toBe("full");
  });

  it.each([
    [{ remove: 0 }, "--remove to be a whole number of 1 or more, but got 0"],
    [{ recovery: { steps: -1 } }, "--recovery-steps to be a whole number of 0 or more"],
    [{ warm: { epochs: 0.3 } as const, epochSteps: 5 }, "--warm-steps to be a whole number of 0 or more, but got 1.5"],
    [{ within: 1 }, "--within to be a Dice difference"],
    [{ recoveryRate: 0 }, "--recovery-lr to be a number above 0"],
    [{ criterion: "l3" as "l1" }, 'Unknown --criterion "l3"'],
    [{ pick: "random" as "stamp" }, 'Unknown --pick "random"'],
  ])("%j is refused", (options, message) => {
    expect(() => resolve(options)).toThrow(message);
  });

  it("are refused at once where they would fail only after the warm-up", () => {
    const bare = flat(4, { ...frame, unit: { norm: "none" } });
    expect(() => resolve({ criterion: "bn-scale" }, { net: bare })).toThrow(
      "a net with norms for --criterion bn-scale",
    );
    const single = { settings: { ...setup.settings, batch: 1 } };
    expect(() => resolve({ criterion: "l1-sd" }, single)).toThrow("a --batch of 2 or more for --criterion l1-sd");
    expect(() => resolve({ patience: 2 }, { validationCases: [] })).toThrow("validation cases for --patience");
    expect(() => resolve({ until: { diceDrop: 0.1 } }, { validationCases: [] })).toThrow("for --until dice-drop");
  });
});

it("expects as many removals as the widest layers take to the limit", () => {
  // from 4, 8, 16 to 4 everywhere: 5 layers lose 4 and 2 lose 12
  const until = { parameters: null, channels: 12 * 4, diceDrop: null };
  const choice = { criterion: "l2", pick: "stamp", until } as const;
  expect(expectedNets(net, { ...choice, remove: 1 })).toHaveLength(1 + 5 * 4 + 2 * 12);
  expect(
    expectedNets(net, { ...choice, remove: 5 })
      .map(channelsOf)
      .at(-1),
  ).toBe(12 * 4);
  expect(expectedNets(net, { ...choice, remove: 5 })).toHaveLength(1 + 9);
});
