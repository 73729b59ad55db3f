import { fail } from "../util/errors.ts";
import type { Vec3 } from "../volume/volume.ts";

/** The paper's deepest nets have 4 pools. */
export const mostPools = 4;
/** An axis is halved while it has at least this many voxels, so that at least 4 remain. */
const smallestAxis = 8;
/** Axes whose voxels are at least this many times as long as the finest wait: kernel 1, and no pool. */
const anisotropic = 2;

export interface Topology {
  /** Per pool: 1 or 2 along D, H, W. */
  pools: Vec3[];
  /** Per level (pools + 1): 1 or 3 along D, H, W. */
  kernels: Vec3[];
}

/**
 * Pools and kernels for a patch by nnU-Net's rules (Isensee et al. 2021, supplementary note 2, and its network_topology.py). An
 * axis is pooled while it has at least 8 voxels and its voxels are less than twice as long as the finest of the axes still poolable;
 * its kernel is 1 while its voxels are at least twice as long as the finest, and 3 from the first level where they are not. Axes of
 * one voxel keep pool 1, kernel 1. At most 4 pools (nnU-Net: no limit, but 12 voxels for an axis that is pooled alone). `count`
 * fixes the number of pools; then an axis may shrink to 2 voxels. UserError where that many do not fit.
 */
export function planTopology(patch: Vec3, spacing: Vec3, count?: number): Topology {
  const topology = layTopology(patch, spacing, count);
  const { length } = topology.pools;
  if (count !== undefined && length < count) {
    fail(
      `Expected room for ${count} pools, but a patch of ${patch.join("x")} voxels allows ${length}; use fewer pools or a larger patch.`,
    );
  }
  return topology;
}

/** {@link planTopology}, but with fewer pools than `count` where that many do not fit. */
export function layTopology(patch: Vec3, spacing: Vec3, count?: number): Topology {
  const size = [...patch];
  const mm = [...spacing];
  const axes = [0, 1, 2].filter((axis) => patch[axis] > 1);
  const grown = [false, false, false];
  const pools: Vec3[] = [];
  const kernels: Vec3[] = [];
  for (;;) {
    const finest = Math.min(...axes.map((axis) => mm[axis]));
    for (const axis of axes) grown[axis] ||= mm[axis] < anisotropic * finest;
    kernels.push(grown.map((wide) => (wide ? 3 : 1)) as Vec3);
    const open = axes.filter((axis) => size[axis] >= (count === undefined ? smallestAxis : 4));
    const finestOpen = Math.min(...open.map((axis) => mm[axis]));
    const pooled = open.filter((axis) => mm[axis] < anisotropic * finestOpen);
    if (pooled.length === 0 || pools.length >= (count ?? mostPools)) break;
    const pool: Vec3 = [1, 1, 1];
    for (const axis of pooled) {
      pool[axis] = 2;
      mm[axis] *= 2;
      size[axis] = Math.ceil(size[axis] / 2);
    }
    pools.push(pool);
  }
  return { pools, kernels };
}

/** What a patch must be a multiple of along D, H, W. */
export function poolFactors(pools: readonly Vec3[]): Vec3 {
  return [0, 1, 2].map((axis) => pools.reduce((product, pool) => product * pool[axis], 1)) as Vec3;
}

/** Each axis rounded up to what the pools divide. */
export function roundUpPatch(size: Vec3, pools: readonly Vec3[]): Vec3 {
  const factors = poolFactors(pools);
  return size.map((n, axis) => Math.ceil(n / factors[axis]) * factors[axis]) as Vec3;
}

/** Throws UserError, naming the nearest sizes that work, unless the pools divide the patch along every axis. */
export function checkPatch(patch: Vec3, pools: readonly Vec3[]): void {
  const factors = poolFactors(pools);
  for (const [axis, name] of (["D", "H", "W"] as const).entries()) {
    const n = patch[axis];
    const factor = factors[axis];
    if (Number.isInteger(n) && n > 0 && n % factor === 0) continue;
    const below = Math.floor(n / factor) * factor;
    const nearest = below > 0 ? `${below} or ${below + factor}` : `${factor}`;
    fail(
      `Expected a patch size along ${name} that is a multiple of ${factor} (its pools halve it ${Math.log2(factor)} times), but got ${n}; use ${nearest}.`,
    );
  }
}
