import type { TrainSpec } from "../types.ts";
import type { Arena } from "./arena.ts";
import type { ParameterBlock } from "./parameters.ts";
import type { ProgramBuilder } from "./program.ts";

/** The update is cut into pieces of this many floats. */
const UPDATE_FLOATS = 1 << 15;

/** Byte addresses of the parameter block and its copies; `v` and `average` are 0 where the training has none. */
export interface ParameterCopies {
  param: number;
  gradient: number;
  m: number;
  v: number;
  average: number;
}

/** Stages of the update: the gradient's norm, the clip factor, then the optimiser and the average piece by piece. */
export function stageUpdate(
  b: ProgramBuilder,
  arena: Arena,
  options: { spec: TrainSpec; parameters: ParameterBlock; at: ParameterCopies },
): void {
  const { spec, parameters, at } = options;
  const pieces = parameters.slots.flatMap(({ info, offset, floats }) => {
    const list: { info: typeof info; offset: number; floats: number }[] = [];
    for (let from = 0; from < floats; from += UPDATE_FLOATS) {
      list.push({ info, offset: offset + from * 4, floats: Math.min(UPDATE_FLOATS, floats - from) });
    }
    return list;
  });
  const trained = pieces.filter((piece) => piece.info.trained);
  const squares = arena.take(trained.length * 8);
  b.stage(
    trained.map((piece, i) => [
      b.op({ op: "squares", address: at.gradient + piece.offset, floats: piece.floats, to: squares + i * 8 }),
    ]),
  );
  b.stage([[b.op({ op: "clip", from: squares, count: trained.length, limit: spec.clip })]]);
  b.stage(
    pieces
      .filter((piece) => piece.info.trained || spec.ema > 0)
      .map((piece) => [
        b.op({
          op: "update",
          optimiser: spec.optimiser,
          ema: spec.ema,
          decay: piece.info.role === "weight",
          param: at.param + piece.offset,
          grad: at.gradient + piece.offset,
          m: at.m + piece.offset,
          v: at.v + piece.offset,
          average: at.average + piece.offset,
          floats: piece.floats,
          trained: piece.info.trained,
        }),
      ]),
  );
}
