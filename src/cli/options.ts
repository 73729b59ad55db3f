import { InvalidArgumentError } from "commander";
import type { Vec3 } from "../volume/volume.ts";

/** A whole number of 1 or more. */
export const parseCount = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("Expected a whole number of 1 or more.");
  return Number(text);
};

/** `64x64x64` as D, H, W; `256x256` is a slice (D = 1). */
export function parseShape(text: string): Vec3 {
  const sizes = text.split("x").map(parseCount);
  if (sizes.length === 2) return [1, sizes[0], sizes[1]];
  if (sizes.length !== 3) throw new InvalidArgumentError("Expected DxHxW such as 64x64x64, or HxW for 2D.");
  return [sizes[0], sizes[1], sizes[2]];
}
