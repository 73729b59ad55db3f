import { prunableLayers } from "../net/remove.ts";
import type { NetSpec } from "../net/spec.ts";
import { stackCharts } from "../util/chart.ts";
import type { ChannelRef, CurveRecord, LevelLoss, PrunedSize } from "./types.ts";

/** Mean validation Dice of the best size; null where none was checked. */
export function bestMean(curve: readonly CurveRecord[]): number | null {
  const means = curve.flatMap(({ meanDice }) => (meanDice === null ? [] : [meanDice]));
  return means.length > 0 ? Math.max(...means) : null;
}

/** The smallest size whose mean validation Dice is within a difference of the best; the last one where none was checked. */
export function chooseSize(curve: readonly CurveRecord[], within: number): CurveRecord {
  const best = bestMean(curve);
  const good = curve.filter(({ meanDice }) => meanDice !== null && best !== null && meanDice >= best - within);
  return good.at(-1) ?? curve[curve.length - 1];
}

export function sizeOf({ step, parameters, validationDice, meanDice, model }: CurveRecord): PrunedSize {
  return { step, parameters, dice: validationDice, meanDice, model };
}

/** What each level lost, the finest first. */
export function lossByLevel(net: NetSpec, curve: readonly CurveRecord[]): LevelLoss[] {
  const removed = Map.groupBy(
    curve.flatMap((record) => record.removed),
    ({ layer }) => layer,
  );
  const lost = (layer: string): number => removed.get(layer)?.length ?? 0;
  return [...Map.groupBy(prunableLayers(net), ({ level }) => level)]
    .sort(([a], [b]) => a - b)
    .map(([level, layers]) => ({
      level,
      channels: layers.reduce((sum, { width }) => sum + width, 0),
      removed: layers.reduce((sum, { name }) => sum + lost(name), 0),
      layers: Object.fromEntries(layers.map(({ name }) => [name, lost(name)])),
    }));
}

/** "2 x bottleneck.1, decoder.0.up" */
export function removedText(removed: readonly ChannelRef[]): string {
  return [...Map.groupBy(removed, ({ layer }) => layer)]
    .map(([layer, { length }]) => (length > 1 ? `${length} x ${layer}` : layer))
    .join(", ");
}

/** curve.svg: validation Dice, or without validation the training loss, against the parameters. */
export function curveChart(curve: readonly CurveRecord[], classes: readonly string[], title: string): string {
  const points = (value: (record: CurveRecord) => number | null): [number, number][] =>
    curve.flatMap((record): [number, number][] => {
      const y = value(record);
      return y === null ? [] : [[record.parameters, y]];
    });
  const dice = classes
    .map((name, i) => ({ name: `validation ${name}`, points: points((r) => r.validationDice?.[i] ?? null) }))
    .filter((series) => series.points.length > 0);
  const axis = { xLabel: "parameters", xScale: "log" } as const;
  const loss = { name: "training loss", points: points((r) => r.trainLoss) };
  return stackCharts([
    dice.length > 0
      ? { ...axis, title: `${title}: Dice`, yLabel: "Dice", series: dice }
      : { ...axis, title: `${title}: loss`, yLabel: "loss", series: [loss] },
  ]);
}
