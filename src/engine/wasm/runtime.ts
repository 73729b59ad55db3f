import type { Arena } from "./arena.ts";
import type { Executor, ProgramImage } from "./executor.ts";
import type { ProgramBuilder } from "./program.ts";
import type { Team } from "./team.ts";

/** A program in memory, ready to run on the team. */
export interface LoadedProgram {
  executor: Executor;
  run(from: number, to: number): void;
  close(): void;
}

let nextId = 1;

/** Compiles the kernels, allocates the memory and hands both to all threads. */
export async function loadProgram(
  builder: ProgramBuilder,
  arena: Arena,
  control: number,
  team: Team,
): Promise<LoadedProgram> {
  const pages = arena.pages();
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: team.shared });
  const module = await WebAssembly.compile(builder.assemble(pages, team.shared));
  const image: ProgramImage = {
    id: nextId++,
    module,
    memory,
    encoded: builder.encode(),
    ops: builder.ops(),
    control,
  };
  const executor = await team.load(image);
  return {
    executor,
    run: (from, to) => team.run(image, executor, from, to),
    close: () => team.unload(image),
  };
}
