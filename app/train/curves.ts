import type { EpochRecord } from "../../src/train/log.ts";
import { type Chart, chartView, type Series } from "../shared/chart.ts";
import { el } from "../shared/dom.ts";
import type { Store } from "./state.ts";

/** The live curves: the loss of each epoch, and Dice on training windows and validation cases. */
export function curves(store: Store): HTMLElement {
  const [loss, dice] = [chartView(lossChart([], null)), chartView(diceChart([], []))];
  store.watch(({ run }, before) => {
    const changed = run?.records !== before.run?.records || run?.standing !== before.run?.standing;
    if (!changed) return;
    const records = run?.records ?? [];
    const { standing = null } = run ?? {};
    const open = standing && standing.step > (records.at(-1)?.step ?? 0) ? standing : null;
    loss.update(lossChart(records, open));
    if (run?.records !== before.run?.records) dice.update(diceChart(records, run?.targets ?? []));
  });
  return el("div", { className: "charts" }, loss.element, dice.element);
}

/** The chart's colours that are nearest to those of the labels on the slices. */
const labelColours = [4, 5, 2, 3, 6, 1, 0];

type Point = [number, number];

/** The epoch under way ends the line where it stands now. */
function lossChart(records: readonly EpochRecord[], now: { step: number; loss: number } | null): Chart {
  const points: Point[] = records.map(({ step, loss }) => [step, loss]);
  if (now) points.push([now.step, now.loss]);
  return { title: "Training loss", xLabel: "step", series: [{ name: "loss", points, colour: 0 }] };
}

function diceChart(records: readonly EpochRecord[], names: readonly string[]): Chart {
  const validation = names.map(
    (name, k): Series => ({
      name,
      colour: labelColours[k % labelColours.length],
      points: records.flatMap(({ step, validationDice }): Point[] =>
        validationDice ? [[step, validationDice[k]]] : [],
      ),
    }),
  );
  // Classes begin with the background, regions have none.
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, v) => sum + v, 0) / Math.max(1, values.length);
  const training: Series = {
    name: "training windows",
    colour: 7,
    faint: true,
    points: records.map(({ step, trainDice }): Point => [step, mean(trainDice.slice(trainDice.length - names.length))]),
  };
  const format = (value: number): string => value.toFixed(3);
  return { title: "Validation Dice", xLabel: "step", yRange: [0, 1], format, series: [...validation, training] };
}
