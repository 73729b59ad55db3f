import type { Awaitable, Backend, Inference } from "../engine/types.ts";
import type { Model } from "../model/types.ts";
import { buildGraph } from "../net/build.ts";
import type { Vec3 } from "../volume/volume.ts";

/** A compiled net that holds the parameters of one model at a time. */
interface Program {
  inference: Inference;
  model: Model | null;
  /** The last case that it was used for, by number. */
  turn: number;
}

export interface Programs {
  /** The function that gives the logits of a model for inputs [batch, C, ...shape]; valid until the next call of `get`. */
  get(model: Model, shape: Vec3, batch: number): Promise<(input: Float32Array) => Awaitable<Float32Array>>;
  /** Begins another case. */
  nextCase(): void;
  close(): void;
}

/**
 * Compiled programs by net, shape and batch. Models with the same net share a program. The least recently used ones are closed
 * when together they hold more than `maxBytes`; the one in use always stays. Those of the case at work may hold `caseBytes`, as its windows
 * ask for them again and again.
 */
export function createPrograms(backend: Backend, maxBytes: number, caseBytes = maxBytes): Programs {
  let turn = 0;
  const kept = new Map<string, Program>();
  const bytes = (): number => [...kept.values()].reduce((sum, { inference }) => sum + inference.bytes, 0);
  return {
    async get(model, shape, batch) {
      const key = JSON.stringify([model.net, shape, batch]);
      const program = kept.get(key) ?? {
        inference: await backend.inference(buildGraph(model.net, { batch, shape })),
        model: null,
        turn,
      };
      program.turn = turn;
      // A map keeps the order of insertion, so the first entries are the least recently used.
      kept.delete(key);
      kept.set(key, program);
      for (const [other, one] of kept) {
        if (other === key || bytes() <= (one.turn === turn ? caseBytes : maxBytes)) break;
        one.inference.close();
        kept.delete(other);
      }
      if (program.model !== model) {
        // Should this throw, the program holds parts of two models.
        program.model = null;
        program.inference.setParameters(model.tensors);
        program.model = model;
      }
      return (input) => program.inference.logits(input);
    },
    nextCase() {
      turn++;
    },
    close() {
      for (const { inference } of kept.values()) inference.close();
      kept.clear();
    },
  };
}
