import { fail } from "../../util/errors.ts";
import { type Arena, useLess } from "./arena.ts";
import { freeClosed, noteClosed } from "./collect.ts";
import type { Executor, ProgramImage } from "./executor.ts";
import type { ProgramBuilder, StageInfo } from "./program.ts";
import type { Team } from "./team.ts";

/** How a measurement sees a program: its stages, and a clock for each. */
export interface Staged {
  readonly stages: readonly StageInfo[];
  /** Starts the clocks at 0: ms of each stage, added up from here on in the array that this gives. */
  timeStages(): Float64Array;
}

/** A program in memory, ready to run on the team. */
export interface LoadedProgram {
  staged: Staged;
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
  freeClosed();
  const memory = allocate(pages, team.shared);
  const module = await WebAssembly.compile(builder.assemble(pages, team.shared));
  const image: ProgramImage = {
    id: nextId++,
    module,
    memory,
    encoded: builder.encode(),
    ops: builder.ops(),
    control,
    scratch: builder.scratchArea(),
  };
  const executor = await team.load(image);
  const stages = builder.stageInfos();
  let open = true;
  return {
    staged: {
      stages,
      timeStages() {
        executor.times = new Float64Array(stages.length);
        return executor.times;
      },
    },
    executor,
    run(from, to) {
      if (!open) fail("Expected an open program, but this one was closed: compile the net again.");
      team.run(image, executor, from, to);
    },
    close() {
      if (!open) return;
      team.unload(image);
      noteClosed(memory.buffer.byteLength);
      open = false;
    },
  };
}

function allocate(pages: number, shared: boolean): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const size = `${(pages / 16).toFixed(0)} MiB`;
    return fail(`The net needs ${size} at this patch and batch size, and the system did not give them: ${useLess}.`);
  }
}
