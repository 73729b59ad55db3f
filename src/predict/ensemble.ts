import type { Model } from "../model/types.ts";
import type { Vec3 } from "../volume/volume.ts";
import { countWindows } from "./placement.ts";
import type { ImagePlanes } from "./planes.ts";
import { classProbabilities } from "./probabilities.ts";
import type { Programs } from "./programs.ts";
import { type SlidingOptions, slidingPlanes } from "./sliding.ts";

/** A model of an ensemble: the window it looks through, and the case as its plan wants it. */
export interface Member {
  model: Model;
  patch: Vec3;
  image: ImagePlanes;
}

interface EnsembleOptions extends Pick<SlidingOptions, "step" | "shifts" | "batch" | "signal"> {
  /** Average over mirrorings along each plan's mirror axes. */
  mirror?: boolean;
  /** A member's own probabilities of the plane that comes next, to be read at once. */
  onMember?: (probabilities: Float32Array) => void;
  /** Windows done, over all members. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Mean probabilities of the members, of classes or regions, plane by plane along D: new arrays [K, H, W]. The members go forward
 * together, each only as far as the next plane asks, so that none holds more than the planes under its own windows.
 */
export async function* meanProbabilities(
  members: readonly Member[],
  shape: Vec3,
  programs: Programs,
  options: EnsembleOptions,
): AsyncGenerator<Float32Array, void, void> {
  const { batch = 1, step, shifts, signal, mirror, onMember, onProgress } = options;
  const counts = members.map(({ patch }) => countWindows(shape, patch, step, shifts));
  const total = counts.reduce((sum, n) => sum + n, 0);
  const done = members.map(() => 0);
  const streams = members.map(({ model, patch, image }, m) => {
    const { net, plan } = model;
    const n = Math.min(batch, counts[m]);
    return slidingPlanes({
      image,
      shape,
      channels: net.inputChannels,
      patch,
      classes: net.outputChannels,
      // Members may share a program, which holds the parameters of one at a time.
      run: async (patches) => (await programs.get(model, patch, n))(patches),
      batch: n,
      step,
      shifts,
      mirrorAxes: mirror ? plan.mirrorAxes : [],
      signal,
      onProgress: (windows) => {
        done[m] = windows;
        onProgress?.(
          done.reduce((sum, x) => sum + x, 0),
          total,
        );
      },
    });
  });
  for (let d = 0; d < shape[0]; d++) {
    let mean: Float32Array | undefined;
    for (const [m, stream] of streams.entries()) {
      const { value: logits } = await stream.next();
      const { net, plan, calibration } = members[m].model;
      if (calibration) divide(logits!, calibration.temperature);
      const probabilities = classProbabilities(logits!, net, plan.regions);
      onMember?.(probabilities);
      if (!mean) mean = probabilities;
      else for (let i = 0; i < mean.length; i++) mean[i] += probabilities[i];
    }
    if (members.length > 1) divide(mean!, members.length);
    yield mean!;
  }
}

function divide(values: Float32Array, by: number): void {
  for (let i = 0; i < values.length; i++) values[i] /= by;
}
