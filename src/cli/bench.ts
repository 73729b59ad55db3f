import { Command, Option } from "commander";
import { createWasmBackend, type WasmBackend } from "../engine/wasm/backend.ts";
import type { ProbeResult } from "../engine/wasm/probe.ts";
import type { TileChoice } from "../engine/wasm/tiles.ts";
import type { NetSpec } from "../net/spec.ts";
import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";
import { type NetProfile, profileNet } from "./bench-profile.ts";
import { describeEngine, describeNet } from "./bench-text.ts";
import { type NetOptions, netArgument, netOptions, readNet } from "./net-argument.ts";
import { parseCount } from "./options.ts";

interface BenchOptions extends NetOptions {
  probe?: boolean;
  batch: number;
  reps: number;
  threads?: number;
  tiles?: TileChoice["name"];
  winograd?: "on" | "off" | "2" | "4";
  json?: boolean;
}

/** What the engine runs on and what it chose. */
export interface EngineReport {
  node: string;
  v8: string;
  threads: number;
  /** GFLOP/s of one thread with each tile that runs here, and of multiply-adds in registers. */
  rates: ProbeResult["rates"];
  peak: number;
  tiles: { name: TileChoice["name"]; forced: boolean };
  winograd: { on: boolean /** The side of the tiles, where it is forced. */; tile: 2 | 4 | null; forced: boolean };
}

/** A net on this engine. */
export interface NetReport {
  net: NetSpec;
  patch: Vec3;
  training: NetProfile;
  inference: NetProfile;
}

const winogradChoices = { on: true, off: false, 2: 2, 4: 4 } as const;

const command = new Command("bench")
  .description(
    "Show how fast this machine's engine is: its register tiles and, for a net, the time of a training step and an " +
      "inference, layer by layer, with the form of each layer's kernels.",
  )
  .argument("[net-or-model]", netArgument);
for (const option of netOptions()) command.addOption(option);

export const benchCommand = command
  .addOption(new Option("--batch <n>", "patches of a training step").default(2).argParser(parseCount))
  .addOption(new Option("--reps <n>", "timed repetitions, after 3 that are not").default(7).argParser(parseCount))
  .option("--probe", "time the tiles only; with a net, show what is chosen for each layer")
  .addOption(new Option("--threads <n>", "compute threads (default: all processors)").argParser(parseCount))
  .addOption(
    new Option("--tiles <name>", "force a register tile (default: the fastest)").choices([
      "merged-256",
      "fma-128",
      "mul-add-128",
    ]),
  )
  .addOption(
    new Option("--winograd <how>", "force Winograd's tiles on, off, or to 2x2 or 4x4 where that fits").choices([
      ...["on", "off", "2", "4"],
    ]),
  )
  .option("--json", "print everything as JSON")
  .action(async (what: string | undefined, options: BenchOptions) => {
    const { threads, tiles, winograd } = options;
    const asked = what === undefined ? undefined : await readNet(what, options);
    const backend = await createWasmBackend({ threads, tiles, winograd: winograd && winogradChoices[winograd] });
    try {
      const engine = await reportEngine(backend, options);
      const net = asked && (await reportNet(backend, asked.net, asked.patch, options));
      const texts = [describeEngine(engine), ...(net ? [describeNet(net, engine)] : [])];
      process.stdout.write(`${options.json ? JSON.stringify({ engine, net }, null, 2) : texts.join("\n\n")}\n`);
    } finally {
      await backend.close();
    }
  });

async function reportEngine(backend: WasmBackend, options: BenchOptions): Promise<EngineReport> {
  const { rates, peak } = await backend.probe();
  if (!rates.some((rate) => rate.name === backend.tiles.name)) {
    fail(`Expected a tile that this Node runs (${rates.map((rate) => rate.name).join(", ")}), not ${options.tiles}.`);
  }
  const { node, v8 } = process.versions;
  return {
    ...{ node, v8, threads: backend.threads, rates, peak },
    tiles: { name: backend.tiles.name, forced: options.tiles !== undefined },
    winograd: {
      on: Number.isFinite(backend.tiles.winogradFrom),
      tile: backend.tiles.winogradTile ?? null,
      forced: options.winograd !== undefined,
    },
  };
}

async function reportNet(
  backend: WasmBackend,
  net: NetSpec,
  patch: Vec3,
  { batch, reps, probe }: BenchOptions,
): Promise<NetReport> {
  const common = { patch, reps: probe ? 0 : reps };
  return {
    ...{ net, patch },
    training: await profileNet(backend, net, { ...common, mode: "train", batch }),
    inference: await profileNet(backend, net, { ...common, mode: "infer", batch: 1 }),
  };
}
