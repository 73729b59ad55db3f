import { type LayerTime, profileNet } from "../src/cli/bench-profile.ts";
import { createWasmBackend } from "../src/engine/wasm/backend.ts";
import { writeFileAtomic } from "../src/util/files.ts";
import { triadBandwidth } from "./bandwidth.ts";
import { type BenchCase, batchOf, caseName, netOf, shapeOf } from "./cases.ts";
import { watchOthers } from "./clock.ts";
import { type Machine, thisCommit, thisMachine } from "./machine.ts";
import { rooflineSvg } from "./roofline-svg.ts";

/** A layer's work in one direction: a mark of the picture. */
export interface RooflinePoint extends Pick<LayerTime, "pass" | "convolution" | "weightGradient" | "flop" | "bytes"> {
  layer: string;
  kind: string;
  /** Median. */
  ms: number;
  /** Of the whole call's time. */
  share: number;
  /** Operations of direct convolution a byte: x. */
  intensity: number;
  /** Operations of direct convolution a second: y. */
  gflops: number;
}

/** One case. What multiplies nothing has no point: pools, loss, update, and bringing input and output. */
export interface RooflinePanel {
  case: string;
  batch: number;
  /** Median of the whole call, and the part of it that is in no point. */
  ms: number;
  restMs: number;
  gflops: number;
  points: RooflinePoint[];
}

/** What limits all layers, and where each stands (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785). */
export interface Roofline {
  version: 1;
  date: string;
  commit: string | null;
  machine: Machine;
  threads: number;
  tiles: string;
  /** GFLOP/s of multiply-adds in registers, all threads. */
  peakGflops: number;
  /** GB/s of the triad, all threads. */
  memoryGbs: number;
  cacheGbs: number;
  /** Cores that other processes kept busy meanwhile; null where the system does not tell. */
  otherCores: number | null;
  panels: RooflinePanel[];
}

export interface RooflineOptions {
  threads: number;
  reps: number;
  path: string;
  /** GB/s; tests put a known number here. */
  bandwidth?: typeof triadBandwidth;
}

/** Measures the cases on this machine and writes `path`.json and `path`.svg. */
export async function drawRoofline(cases: readonly BenchCase[], options: RooflineOptions): Promise<void> {
  const { threads, reps, path, bandwidth = triadBandwidth } = options;
  const backend = await createWasmBackend({ threads });
  const { peak } = await backend.probe();
  const panels: RooflinePanel[] = [];
  const others = watchOthers();
  for (const each of cases) {
    process.stderr.write(`${caseName(each)}: layer by layer\n`);
    panels.push(await measurePanel(each));
  }
  await backend.close();
  const roofline: Roofline = {
    ...{ version: 1, date: new Date().toISOString(), commit: thisCommit(), machine: thisMachine(), threads },
    ...{ tiles: backend.tiles.name, peakGflops: peak * threads },
    memoryGbs: await bandwidth(threads, "memory"),
    cacheGbs: await bandwidth(threads, "cache"),
    otherCores: others(),
    panels,
  };
  await writeFileAtomic(`${path}.json`, `${JSON.stringify(roofline, null, 2)}\n`);
  await writeFileAtomic(`${path}.svg`, rooflineSvg(roofline));

  async function measurePanel(each: BenchCase): Promise<RooflinePanel> {
    const batch = batchOf(each);
    const profile = await profileNet(backend, netOf(each), { mode: each.mode, batch, patch: shapeOf(each), reps });
    const points = profile.layers.flatMap(({ name, kind, times }) =>
      times
        .filter((time) => time.flop > 0)
        .map(
          (time): RooflinePoint => ({
            ...{ layer: name, kind, ...time, share: time.ms / profile.ms },
            ...{ intensity: time.flop / time.bytes, gflops: time.flop / time.ms / 1e6 },
          }),
        ),
    );
    const restMs = profile.ms - points.reduce((sum, point) => sum + point.ms, 0);
    const gflops = profile.flop / profile.ms / 1e6;
    return { case: caseName(each), batch, ms: profile.ms, restMs, gflops, points };
  }
}
