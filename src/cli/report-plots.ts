import type { DatasetReport } from "../dataset/report.ts";
import type { CaseMeasures } from "../dataset/report-measure.ts";
import type { PlotPoint, StripPlot } from "./report-plot.ts";

/** Under which heading of the page a plot stands. */
type Section = "geometry" | "labels" | "intensities";

const axes = ["D", "H", "W"];

/** Plots of what varies between cases. */
export function plotsOf({ cases, labels, channels, outliers }: DatasetReport): (StripPlot & { section: Section })[] {
  const flags = new Set(outliers.map((one) => `${one.case}\n${one.what}`));
  const strip = (name: string, what: string, of: (one: CaseMeasures) => number | null | undefined) => ({
    name,
    points: cases.flatMap((one): PlotPoint[] => {
      const value = of(one);
      return value === null || value === undefined
        ? []
        : [{ value, name: one.id, flagged: flags.has(`${one.id}\n${what}`) }];
    }),
  });
  const varies = ({ points }: { points: PlotPoint[] }): boolean =>
    points.some(({ value }) => value !== points[0].value);
  const geometry = axes.flatMap((name, axis) => [
    { ...strip(`extent along ${name}`, `extent along ${name}`, ({ extent }) => extent[axis]), kind: "extent" },
    { ...strip(`voxel size along ${name}`, `voxel size along ${name}`, ({ spacing }) => spacing[axis]), kind: "size" },
  ]);
  const plots: (StripPlot & { section: Section })[] = [
    {
      section: "geometry",
      title: "Extent of the scans",
      unit: "mm",
      scale: "linear",
      strips: geometry.filter((one) => one.kind === "extent" && varies(one)),
    },
    {
      section: "geometry",
      title: "Voxel sizes",
      unit: "mm",
      scale: "linear",
      strips: geometry.filter((one) => one.kind === "size" && varies(one)),
    },
    {
      section: "labels",
      title: "Volume of each label in each case",
      unit: "ml",
      scale: "log",
      strips: labels
        .slice(1)
        .map(({ name }, k) => strip(name, `volume of ${name}`, (one) => one.labels?.[k].ml || null)),
    },
    ...channels.map((name, c): StripPlot & { section: Section } => {
      const means = (["inside", "outside"] as const).map((where) =>
        strip(`${where} the labels`, `mean ${name} ${where} the labels`, (one) =>
          one.labels ? one.channels[c]?.[where]?.mean : null,
        ),
      );
      const values = means.flatMap(({ points }) => points.map(({ value }) => value));
      const [low, high] = [Math.min(...values), Math.max(...values)];
      // Scales that differ by a factor of 20 need a log axis to be seen.
      const scale = low > 0 && high > 20 * low ? "log" : "linear";
      return { section: "intensities", title: `Mean ${name} of each case`, unit: "", scale, strips: means };
    }),
  ];
  return plots.filter(({ strips }) => strips.some(({ points }) => points.length > 0));
}
