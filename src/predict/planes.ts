import type { OpenCase } from "../dataset/preprocess.ts";
import type { Vec3 } from "../volume/volume.ts";

/** Plane d of a channel of an image, [H, W]. */
export type ImagePlanes = (channel: number, d: number) => Float32Array;

/** The planes of an image [C, D, H, W] in memory. */
export function planesOf(image: Float32Array, [D, H, W]: Vec3): ImagePlanes {
  return (c, d) => image.subarray((c * D + d) * H * W, (c * D + d + 1) * H * W);
}

/** Planes of a case that is larger than what should be in memory: made when first asked for, kept until released. */
export interface KeptPlanes {
  prepared: OpenCase;
  image: ImagePlanes;
  /** Forgets plane d. */
  release(d: number): void;
}

/** `timed` runs the making of a plane. */
export function keepPlanes(prepared: OpenCase, timed: <T>(work: () => T) => T): KeptPlanes {
  const [, H, W] = prepared.shape;
  const planes = new Map<number, Float32Array>();
  return {
    prepared,
    image(channel, d) {
      const plane = planes.get(d) ?? timed(() => prepared.plane(d));
      planes.set(d, plane);
      return plane.subarray(channel * H * W, (channel + 1) * H * W);
    },
    release: (d) => planes.delete(d),
  };
}
