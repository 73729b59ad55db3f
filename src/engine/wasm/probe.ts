import { fail } from "../../util/errors.ts";
import { type ConvKernelSpec, emitConv } from "./conv.ts";
import { assembleModule, FunctionBuilder } from "./emit.ts";
import { layoutOf } from "./layout.ts";
import { convWalk } from "./packing.ts";
import { type TileChoice, tileChoices } from "./tiles.ts";

/** What the probe saw: GFLOP/s of one thread. */
export interface ProbeResult {
  chosen: TileChoice;
  /** A 16 -> 16 convolution with each tile that this engine can run. */
  rates: { name: TileChoice["name"]; gflops: number }[];
  /** Fused multiply-adds in registers only: the machine's peak as WebAssembly reaches it. */
  peak: number;
}

/** V8 joins neighbouring 128-bit operations into 256-bit ones when this flag is on before compiling; other engines ignore it. */
export function askForWideVectors(): void {
  const [major] = (globalThis.process?.versions?.node ?? "0").split(".").map(Number);
  // Older Nodes would print that they do not know the flag.
  if (major < 24) return;
  const v8 = globalThis.process.getBuiltinModule("node:v8");
  v8.setFlagsFromString("--experimental-wasm-revectorize");
}

function compile(functions: FunctionBuilder[], pages: number): Record<string, (...args: number[]) => void> | null {
  const bytes = assembleModule(functions, pages, false);
  if (!WebAssembly.validate(bytes)) return null;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return instance.exports as Record<string, (...args: number[]) => void>;
}

/** Best rate of several short calls, after enough calls (and pauses) for the optimising compiler. */
async function bestRate(call: () => void, flop: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 8; i++) {
      const start = performance.now();
      call();
      best = Math.min(best, performance.now() - start);
    }
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  return flop / best / 1e6;
}

/** Times the candidate tiles on a small convolution and picks the fastest. Takes about a tenth of a second. */
export async function probe(): Promise<ProbeResult> {
  askForWideVectors();
  const rates: ProbeResult["rates"] = [];
  const layout = layoutOf(16, [2, 24, 48], 1);
  for (const tiles of Object.values(tileChoices)) {
    const V = tiles.merged ? 4 : 2;
    const spec: ConvKernelSpec = {
      width: 48,
      height: 24,
      sources: [convWalk(layout, [3, 3, 3])],
      vectors: 4,
      V,
      outPixel: layout.pixelBytes,
      outRow: layout.rowBytes,
      outPlane: layout.planeBytes,
      bias: true,
      slope: 0,
      affine: false,
      stats: false,
    };
    const f = new FunctionBuilder("k0", 7, tiles.fused);
    emitConv(f, spec, tiles);
    const out = layout.sampleBytes;
    const weights = 2 * layout.sampleBytes;
    const exports = compile([f], Math.ceil((3 * layout.sampleBytes) / 65536) + 4);
    if (!exports) continue;
    const call = (): void => exports.k0(out + layout.interior, weights, weights, 0, 2, 24, 0);
    rates.push({ name: tiles.name, gflops: await bestRate(call, 2 * 27 * 256 * 2 * 24 * 48) });
  }
  if (rates.length === 0) fail("lunet's engine needs WebAssembly with SIMD: use a newer browser or Node.");
  const chosen = rates.reduce((best, rate) => (rate.gflops > best.gflops ? rate : best));
  return { chosen: tileChoices[chosen.name], rates, peak: await peakRate(tileChoices[chosen.name]) };
}

/** Independent multiply-add chains that never leave the registers. */
async function peakRate(tiles: TileChoice): Promise<number> {
  const chains = tiles.merged ? 24 : 12;
  const f = new FunctionBuilder("k0", 2, tiles.fused);
  const [counter, a, b] = [f.int(), f.vector(), f.vector()];
  const acc = f.vectors(chains);
  // Loads and stores as neighbouring pairs, as V8's merging wants them.
  f.get(0).load(0).set(a).get(0).load(0).set(b);
  acc.forEach((local, i) => {
    f.get(0)
      .load(64 + i * 16)
      .set(local);
  });
  f.repeat(counter, { local: 1 }, () => {
    for (let u = 0; u < 4; u++) for (const local of acc) f.fma(a, b, local);
  });
  acc.forEach((local, i) => {
    f.get(0)
      .get(local)
      .store(64 + i * 16);
  });
  const exports = compile([f], 1);
  const rounds = 20000;
  return exports ? bestRate(() => exports.k0(64, rounds), rounds * 4 * chains * 8) : 0;
}
