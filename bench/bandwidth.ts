import { createArena } from "../src/engine/wasm/arena.ts";
import { createProgramBuilder, type Task } from "../src/engine/wasm/program.ts";
import { loadProgram } from "../src/engine/wasm/runtime.ts";
import { createTeam } from "../src/engine/wasm/team.ts";
import { tileChoices } from "../src/engine/wasm/tiles.ts";

const MIB = 2 ** 20;

/** Three arrays, of these bytes each a thread. */
const sizes = {
  /** Far above any cache. */
  memory: 64 * MIB,
  /** Fits the second-level cache of common processors (1 MiB a core and up) three times. */
  cache: MIB / 4,
};

/**
 * GB/s of a = b + s c on the engine's own threads: the triad of McCalpin's STREAM. Two arrays are read and one is written; that
 * processors read a line before they write it is not counted.
 */
export async function triadBandwidth(threads: number, where: keyof typeof sizes): Promise<number> {
  const team = createTeam(threads);
  const arena = createArena();
  const builder = createProgramBuilder(tileChoices["mul-add-128"], arena);
  const kernel = builder.kernel(["triad"], 4, (f) => {
    const [counter, scale, left, right] = [f.int(), f.vector(), f.vector(), f.vector()];
    f.splatConst(0.5).set(scale);
    f.repeat(counter, { local: 3 }, () => {
      for (let i = 0; i < 4; i++) {
        f.get(1)
          .load(16 * i)
          .set(left)
          .get(2)
          .load(16 * i)
          .set(right);
        f.get(0)
          .fmaValue(right, scale, left)
          .store(16 * i);
      }
      for (const pointer of [0, 1, 2]) f.advance(pointer, 64);
    });
  });
  // Short calls, so that the optimising compiler takes over after the first ones; enough of them that starting is no part of the time.
  const piece = Math.min(MIB, sizes[where]);
  const passes = where === "cache" ? 200 : 1;
  builder.stage(
    Array.from({ length: threads }, (): Task => {
      const [a, b, c] = [arena.take(sizes[where]), arena.take(sizes[where]), arena.take(sizes[where])];
      return Array.from({ length: (passes * sizes[where]) / piece }, (_, i) => {
        const at = (i * piece) % sizes[where];
        return { kernel, args: [a + at, b + at, c + at, piece / 64] };
      });
    }),
  );
  const program = await loadProgram(builder, arena, arena.take(64), team);
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + 300;
  for (let i = 0; i < 10 || performance.now() < end; i++) {
    const start = performance.now();
    program.run(0, 1);
    best = Math.min(best, performance.now() - start);
    // The compiler's result is taken over between calls.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  program.close();
  await team.close();
  return (3 * sizes[where] * passes * threads) / best / 1e6;
}
