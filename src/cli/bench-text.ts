import { textTable } from "../util/text-table.ts";
import type { EngineReport, NetReport } from "./bench.ts";
import type { LayerTime, NetProfile } from "./bench-profile.ts";

/** The engine's choices as lines of text. */
export function describeEngine(engine: EngineReport): string {
  const { tiles, winograd, threads, peak } = engine;
  const note = (name: string): string => {
    if (name !== tiles.name) return "";
    return tiles.forced ? "forced" : "chosen";
  };
  const rates = engine.rates.map(({ name, gflops }) => [name, note(name), gflops.toFixed(1)]);
  return [
    `Node ${engine.node}, V8 ${engine.v8}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    "",
    textTable([["tile", "", "GFLOP/s of a thread"], ...rates, ["peak", "", peak.toFixed(1)]], 2),
    "",
    `Winograd     ${winograd.on ? tilesText(winograd.tile) : "off"}${winograd.forced ? " (forced)" : ""}`,
  ].join("\n");
}

const head = [
  ...["layer", "operator", "channels", "shape", "infer", "train: forward", "data gradient", "weight gradient"],
  ...["infer ms", "forward ms", "backward ms"],
];

/** Times of a net and its layers as a table, the form of each layer's kernels beside them. */
export function describeNet({ training, inference, patch }: NetReport, engine: EngineReport): string {
  const peak = engine.peak * engine.threads;
  const total = (what: string, profile: NetProfile): string[] => {
    const gflops = profile.flop / profile.ms / 1e6;
    return [
      ...[what, `${profile.batch} x ${patch.join("x")}`],
      ...[number(profile.ms, 1), number(profile.ms / profile.batch, 1), number(gflops, 1)],
      ...[number((100 * gflops) / peak, 0, " %"), `${(profile.bytes / 2 ** 20).toFixed(0)}`],
    ];
  };
  const totals = textTable(
    [
      ["", "input", "ms", "ms a patch", "GFLOP/s", "of peak", "MiB"],
      total("training step", training),
      total("inference", inference),
    ],
    2,
  );
  const rows = training.layers.map((layer, i) => {
    const [forward, backward] = layer.times;
    const [infer] = inference.layers[i].times;
    return [
      ...[layer.name, layer.kind, `${layer.inputs} > ${layer.outputs}`, layer.shape.join("x")],
      ...[form(infer), form(forward), form(backward), form(backward, "weightGradient")],
      ...[number(infer.ms, 2), number(forward.ms, 2), number(backward.ms, 2)],
    ];
  });
  const blank = Array.from({ length: 7 }, () => "");
  const other = ["loss, update, ...", ...blank, number(inference.otherMs, 2), number(training.otherMs, 2), ""];
  return `${totals}\n\n${textTable([head, ...rows, other], 8)}`;
}

function tilesText(side: 2 | 4 | null): string {
  return side ? `tiles of ${side}x${side} where they fit` : "on, where it fits";
}

function number(value: number, digits: number, end = ""): string {
  return Number.isNaN(value) ? "-" : value.toFixed(digits) + end;
}

function form(time: LayerTime, work: "convolution" | "weightGradient" = "convolution"): string {
  return time[work].join(" + ") || "-";
}
