import { describe, expect, it } from "vitest";
import { countParameters } from "../net/count.ts";
import { doubling, flat } from "../net/make.ts";
import { defaultLimits, limitMet, limitsText, nextCount, parseUntil, resolveLimits } from "./limits.ts";
import type { StopLimits } from "./types.ts";

const options = { levels: 5, convs: 2, inputChannels: 1, outputChannels: 1 };
const net = doubling(4, options); // 353,949 parameters
const choice = { criterion: "l2", pick: "stamp" } as const;
const resolved = (limits: StopLimits) => resolveLimits(limits, net, choice);

describe("stop limits", () => {
  it("are read from words", () => {
    expect(parseUntil(["parameters=10%", "channels=60,dice-drop=0.02"])).toEqual({
      parameters: "10%",
      channels: "60",
      diceDrop: 0.02,
    });
    expect(() => parseUntil(["parameter=10%"])).toThrow('Cannot read --until "parameter=10%"');
    expect(() => parseUntil(["chanels=3"])).toThrow("did you mean channels?");
    expect(() => parseUntil(["channels"])).toThrow("Expected a value after --until channels, as in channels=60.");
  });

  it("become counts of what may be left; a share is one of the whole, not a count", () => {
    expect(resolved({ parameters: "10%" })).toEqual({ parameters: 35395, channels: null, diceDrop: null });
    // 2 convolutions a level on both sides and one transposed convolution, 4 + 8 + 16 + 32 wide; 64 twice
    expect(resolved({ channels: "50%" }).channels).toBe((5 * 60 + 2 * 64) / 2);
    expect(resolved({ removed: "25%" }).channels).toBe(428 - 107);
    expect(resolved({ removed: 100, channels: 400 }).channels).toBe(400);
    expect(limitsText(resolved({ parameters: 9929, diceDrop: 0.02 }))).toBe("parameters=9929, dice-drop=0.02");
  });

  it.each([
    [
      { parameters: 685 },
      "Cannot prune until parameters=685: layers keep their last channel, so at least 686 parameters",
    ],
    [{ channels: 21 }, "at least 22 channels are left; ask for 22 or more"],
    [{ channels: "1%" }, "Cannot prune until channels=1%"],
    [{ removed: 407 }, "Cannot prune until removed=407"],
    [{ parameters: 353949 }, "to be less than the net has, 353949 parameters: nothing would be removed"],
    [{ removed: 0 }, "nothing would be removed"],
    [{ channels: "half" }, 'Expected --until channels to be a whole number, or a share such as 10%, but got "half"'],
    [{ channels: 12.5 }, 'but got "12.5"'],
    [{ parameters: "110%" }, 'but got "110%"'],
    [{ diceDrop: 2 }, "dice-drop to be a number between 0 and 1, such as 0.02, but got 2"],
  ])("%j is refused", (limits, message) => {
    expect(() => resolved(limits)).toThrow(message);
  });

  it("are a tenth of the parameters by default, or the least that is left", () => {
    expect(defaultLimits(net, choice).parameters).toBe(35395);
    expect(defaultLimits(flat(2, options), choice).parameters).toBe(686);
    expect(limitMet({ ...choice, until: defaultLimits(flat(2, options), choice) }, flat(1, options), null)).toBe(
      "parameters",
    );
  });

  it("end a run at the first that is met, and never before", () => {
    const pruning = { ...choice, until: { parameters: 9929, channels: 100, diceDrop: 0.05 } };
    expect(limitMet(pruning, net, null)).toBeNull();
    expect(limitMet(pruning, flat(4, options), null)).toBe("parameters");
    const channels = { ...pruning, until: { ...pruning.until, parameters: 1000 } };
    expect(limitMet(channels, flat(4, options), null)).toBe("channels");
    expect(limitMet(channels, net, { best: 0.9, now: 0.86 })).toBeNull();
    expect(limitMet(channels, net, { best: 0.9, now: 0.84 })).toBe("dice-drop");
    expect(limitMet(channels, net, { best: 0.9, now: null })).toBeNull();
    const none = { ...choice, until: { parameters: null, channels: null, diceDrop: null } };
    expect(limitMet(none, flat(2, options), null)).toBeNull();
    expect(limitMet(none, flat(1, options), null)).toBe("nothing left to remove");
  });

  it("know that bn-scale cannot rank transposed convolutions", () => {
    const least = { ...flat(1, options), decoder: net.decoder.map(({ up }) => ({ up, convs: [1, 1] })) };
    const { parameters } = countParameters(least);
    const scale = { ...choice, criterion: "bn-scale" } as const;
    expect(resolveLimits({ parameters }, net, scale).parameters).toBe(parameters);
    expect(() => resolveLimits({ parameters: parameters - 1 }, net, scale)).toThrow(
      `at least ${parameters} parameters`,
    );
    const none = { ...scale, until: { parameters: null, channels: null, diceDrop: null } };
    expect(limitMet(none, least, null)).toBe("nothing left to remove");
  });

  it("are not overshot in channels", () => {
    const until = { parameters: null, channels: 420, diceDrop: null };
    expect([nextCount(until, net, 5), nextCount(until, net, 20)]).toEqual([5, 8]);
    expect(nextCount({ ...until, channels: null }, net, 20)).toBe(20);
  });
});
