import type { Arena } from "./arena.ts";
import { assembleModule, FunctionBuilder } from "./emit.ts";
import type { Op } from "./ops.ts";
import type { TileChoice } from "./tiles.ts";

/** One call: a kernel with its arguments, or an op by its number. */
export type Call = { kernel: number; args: number[] } | { op: number };

/** Calls that one thread makes in order. Tasks of one stage run in any order on any thread; stages run one after another. */
export type Task = Call[];

/**
 * Stages as numbers, for the threads' interpreter. `stages[i]` is the index in `tasks` of stage i's first task (one entry more than
 * stages); `tasks[j]` the index in `calls`. A call is [kernel, argument count, ...arguments] or [-1 - op].
 */
export interface EncodedStages {
  stages: Int32Array;
  tasks: Int32Array;
  calls: Int32Array;
}

/** What a stage works for, and which kernels it calls: for measurements. */
export interface StageInfo {
  pass: "weights" | "forward" | "output" | "loss" | "backward" | "update";
  /** The node's name in forward and backward. */
  layer: string | null;
  /** The first words of the kernels' keys, e.g. conv or winograd4. */
  kernels: string[];
}

/** Byte address of the first thread's scratch memory, and bytes to the next thread's. */
export interface ScratchArea {
  address: number;
  stride: number;
}

/** An argument that each thread replaces by the address of its own scratch memory. No address is negative. */
export const THREAD_SCRATCH = -1;

/** Collects kernels (equal ones once), ops and stages. */
export interface ProgramBuilder {
  readonly tiles: TileChoice;
  /** The number of the kernel with this key, emitted when the program is assembled. The key's first word says what the kernel does. */
  kernel(key: readonly [string, ...unknown[]], params: number, emit: (f: FunctionBuilder) => void): number;
  op(op: Op): Call;
  /** Memory for one task of the stage that is being collected. */
  scratch(bytes: number): number;
  /** Stands in a call's arguments for memory that the running thread has for itself, at least this large. */
  threadScratch(bytes: number): number;
  /** Lays out each thread's scratch memory; call it when all stages are there. */
  reserveScratch(threads: number): void;
  /** Where the first thread's scratch memory begins, and how far the next one's is. */
  scratchArea(): ScratchArea;
  stage(tasks: Task[]): void;
  stageCount(): number;
  /** Says what the stages that follow work for. */
  label(pass: StageInfo["pass"], layer?: string): void;
  /** One entry a stage. */
  stageInfos(): StageInfo[];
  assemble(pages: number, shared: boolean): Uint8Array<ArrayBuffer>;
  encode(): EncodedStages;
  ops(): Op[];
}

/** Scratch memory grows by chunks, which each stage cuts anew. */
const SCRATCH_CHUNK = 1 << 20;
const SCRATCH_STEP = 4096;

export function createProgramBuilder(tiles: TileChoice, arena: Arena): ProgramBuilder {
  const numbers = new Map<string, number>();
  const emitters: (() => FunctionBuilder)[] = [];
  const ops: Op[] = [];
  const stages: Task[][] = [];
  const words: string[] = [];
  const labels: Omit<StageInfo, "kernels">[] = [];
  let label: Omit<StageInfo, "kernels"> = { pass: "weights", layer: null };
  let threadBytes = 0;
  let area: ScratchArea = { address: 0, stride: 0 };
  const chunks: { address: number; size: number; used: number }[] = [];
  return {
    tiles,
    kernel(key, params, emit) {
      const name = JSON.stringify(key);
      const known = numbers.get(name);
      if (known !== undefined) return known;
      const number = emitters.length;
      emitters.push(() => {
        const f = new FunctionBuilder(`k${number}`, params, tiles.fused);
        emit(f);
        return f;
      });
      words.push(key[0]);
      numbers.set(name, number);
      return number;
    },
    op(op) {
      ops.push(op);
      return { op: ops.length - 1 };
    },
    scratch(bytes) {
      const size = Math.ceil(bytes / SCRATCH_STEP) * SCRATCH_STEP;
      let chunk = chunks.find((each) => each.used + size <= each.size);
      if (!chunk) {
        const chunkSize = Math.max(SCRATCH_CHUNK, size);
        chunk = { address: arena.for("scratch").take(chunkSize), size: chunkSize, used: 0 };
        chunks.push(chunk);
      }
      const address = chunk.address + chunk.used;
      chunk.used += size;
      return address;
    },
    threadScratch(bytes) {
      threadBytes = Math.max(threadBytes, bytes);
      return THREAD_SCRATCH;
    },
    reserveScratch(threads) {
      const stride = Math.ceil(threadBytes / 64) * 64;
      area = { address: arena.for("scratch").take(threads * stride), stride };
    },
    scratchArea: () => area,
    stage(tasks) {
      for (const chunk of chunks) chunk.used = 0;
      if (tasks.length === 0) return;
      stages.push(tasks);
      labels.push(label);
    },
    label(pass, layer) {
      label = { pass, layer: layer ?? null };
    },
    stageInfos: () =>
      stages.map((tasks, i) => {
        const kernels = tasks.flat().flatMap((call) => ("op" in call ? [] : words[call.kernel]));
        return { ...labels[i], kernels: [...new Set(kernels)] };
      }),
    stageCount: () => stages.length,
    assemble: (pages, shared) =>
      assembleModule(
        emitters.map((emitted) => emitted()),
        pages,
        shared,
      ),
    encode() {
      const stageStarts: number[] = [];
      const taskStarts: number[] = [];
      const calls: number[] = [];
      for (const stage of stages) {
        stageStarts.push(taskStarts.length);
        for (const task of stage) {
          taskStarts.push(calls.length);
          for (const call of task) {
            if ("op" in call) calls.push(-1 - call.op);
            else calls.push(call.kernel, call.args.length, ...call.args);
          }
        }
      }
      stageStarts.push(taskStarts.length);
      taskStarts.push(calls.length);
      return {
        stages: Int32Array.from(stageStarts),
        tasks: Int32Array.from(taskStarts),
        calls: Int32Array.from(calls),
      };
    },
    ops: () => ops,
  };
}
