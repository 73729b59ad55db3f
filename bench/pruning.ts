import { buildGraph, initialise } from "../src/net/build.ts";
import { countParameters } from "../src/net/count.ts";
import { parseNet } from "../src/net/make.ts";
import { prunableLayers, type Removal, removeChannels } from "../src/net/remove.ts";
import { asRemovals, randomAtLargest } from "../src/prune/pick.ts";
import { random } from "../src/util/random.ts";
import { textTable } from "../src/util/text-table.ts";
import { median } from "./summary.ts";

/** The paper's net to prune, and the largest one of its table: 4 levels of 3 convolutions. */
const nets = [
  { name: "unet:4", levels: 5, convs: 2 },
  { name: "unet:24", levels: 4, convs: 3 },
];

const stepChannels = 4;

/**
 * How long a pruning step takes besides training: cutting channels out of the parameters and both of Adam's moments, and building the
 * smaller net's graph. Median of some repetitions, ms.
 */
export function pruningTable(reps: number): string {
  const rows = nets.flatMap(({ name, levels, convs }) => {
    const net = parseNet(name, { levels, convs, inputChannels: 1, outputChannels: 1, dimensions: 3 });
    const shape = [32, 32, 32] as [number, number, number];
    const parameters = initialise(buildGraph(net, { batch: 1, shape }), 0);
    const moments = ["m", "v"].flatMap((kind) =>
      [...parameters].map(([key, data]) => [`${kind}.${key}`, data] as const),
    );
    return [fewest(net), most(net)].map((removals) => {
      const times = Array.from({ length: reps }, () => {
        const start = performance.now();
        const less = removeChannels(net, removals);
        less.apply(parameters);
        less.apply(new Map(moments));
        buildGraph(less.net, { batch: 1, shape });
        return performance.now() - start;
      });
      const gone = removals.reduce((sum, { channels }) => sum + channels.length, 0);
      const count = countParameters(net).parameters.toLocaleString("en-US");
      return [name, `${levels} x ${convs}`, count, `${gone}`, median(times).toFixed(1)];
    });
  });
  return textTable([["net", "levels x convs", "parameters", "channels removed", "ms"], ...rows], 2);
}

type Net = Parameters<typeof prunableLayers>[0];

/** A step of the pruning loop. */
function fewest(net: Net): Removal[] {
  return asRemovals(randomAtLargest(net, stepChannels, "width", random(0)));
}

/** Down to one channel a layer. */
function most(net: Net): Removal[] {
  return prunableLayers(net).map(({ name, width }) => ({
    layer: name,
    channels: Array.from({ length: width - 1 }, (_, c) => c),
  }));
}
