import { describe, expect, it } from "vitest";
import { createProgress, durationText, progressText } from "./progress.ts";

function recorder(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { written, stream: { isTTY, columns, write: (text: string) => written.push(text) } };
}

describe("progress", () => {
  it("writes plain whole lines into a pipe", () => {
    const { written, stream } = recorder(false);
    const progress = createProgress(stream);
    progress.live("step 1");
    progress.say("epoch 1");
    progress.close();
    expect(written).toEqual(["epoch 1\n"]);
  });

  it("writes over one line in a terminal, cut to its width, and clears it before lines that stay", () => {
    const { written, stream } = recorder(true, 10);
    let time = 0;
    const progress = createProgress(stream, () => time);
    progress.live("0123456789abc");
    progress.live("too soon");
    time = 100;
    progress.live("later");
    progress.say("done");
    progress.close();
    expect(written).toEqual(["\r012345678\x1b[K", "\rlater\x1b[K", "\r\x1b[K", "done\n"]);
  });

  it("says times and Dice in few words", () => {
    expect([0.4, 59.4, 60, 125, 3599, 4320].map(durationText)).toEqual([
      "0 s",
      "59 s",
      "1 min 00 s",
      "2 min 05 s",
      "59 min 59 s",
      "1 h 12 min",
    ]);
    const state = { epoch: 2, epochs: 9, step: 200, steps: 900, loss: 0.31234, secondsLeft: 61 };
    expect(progressText({ ...state, validationDice: [0.881, Number.NaN] })).toBe(
      "epoch 2/9  step 200/900  loss 0.3123  validation Dice 88.1 -  1 min 01 s left",
    );
    expect(progressText({ ...state, validationDice: null })).not.toContain("Dice");
  });
});
