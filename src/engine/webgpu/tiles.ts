import type { Vec3 } from "../../volume/volume.ts";

/** A workgroup's share of a volume: invocations along W, H and D, and voxels along H of each. */
export interface Tile {
  threads: Vec3;
  voxels: number;
}

/** W, H, D of the voxels of a tile. */
export const tileSize = ({ threads: [x, y, z], voxels }: Tile): Vec3 => [x, y * voxels, z];

/** All of 64 invocations, and with a halo of one voxel around small enough for 16 KiB of workgroup memory beside the weights. */
const tiles: Tile[] = [
  { threads: [8, 2, 4], voxels: 4 },
  { threads: [16, 4, 1], voxels: 4 },
  { threads: [4, 4, 4], voxels: 1 },
];

/** Of a tile with its halo, the elements along W, H and D; `kernel` is [kD, kH, kW]. */
export function haloSize(tile: Tile, [kd, kh, kw]: Vec3): Vec3 {
  const [w, h, d] = tileSize(tile);
  return [w + kw - 1, h + kh - 1, d + kd - 1];
}

const product = ([a, b, c]: Vec3): number => a * b * c;

/** Most elements of a tile with its halo; the flat tile is for kernels that are flat too. */
export function haloElements(tile: Tile): number {
  return product(haloSize(tile, tile.threads[2] === 1 ? [1, 3, 3] : [3, 3, 3]));
}

/** Tiles along W, H and D of a volume [D, H, W]. */
export function tileCounts(tile: Tile, [D, H, W]: Vec3): Vec3 {
  const [w, h, d] = tileSize(tile);
  return [Math.ceil(W / w), Math.ceil(H / h), Math.ceil(D / d)];
}

/**
 * The tile that wastes least on a volume [D, H, W]: what counts is the voxels worked on, inside the volume or not, and half of
 * what is loaded.
 */
export function chooseTile(shape: Vec3, kernel: Vec3): Tile {
  const cost = (tile: Tile): number => {
    const loads = product(haloSize(tile, kernel));
    if (loads > haloElements(tile)) return Number.POSITIVE_INFINITY;
    return product(tileCounts(tile, shape)) * (product(tileSize(tile)) + loads / 2);
  };
  return tiles.reduce((best, tile) => (cost(tile) < cost(best) ? tile : best));
}
