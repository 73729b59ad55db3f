import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type SurfaceMesh, surfaceNets } from "./surface-nets.ts";
import type { Vec3 } from "./volume.ts";

const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

const corner = ({ vertices, triangles }: SurfaceMesh, t: number): Vec3 => [
  ...(vertices.subarray(3 * triangles[t], 3 * triangles[t] + 3) as unknown as Vec3),
];
const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
const less = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

/** Area, and the volume inside by the divergence theorem: positive when the triangles look outwards. */
function measure(mesh: SurfaceMesh): { area: number; volume: number } {
  let [area, volume] = [0, 0];
  for (let t = 0; t < mesh.triangles.length; t += 3) {
    const [a, b, c] = [0, 1, 2].map((i) => corner(mesh, t + i));
    area += Math.hypot(...cross(less(b, a), less(c, a))) / 2;
    const n = cross(b, c);
    volume += (a[0] * n[0] + a[1] * n[1] + a[2] * n[2]) / 6;
  }
  return { area, volume };
}

/** How often each directed edge is walked, less how often it is walked the other way. */
function openEdges({ triangles }: SurfaceMesh): number {
  const edges = new Map<string, number>();
  for (let t = 0; t < triangles.length; t += 3) {
    for (let i = 0; i < 3; i++) {
      const [a, b] = [triangles[t + i], triangles[t + ((i + 1) % 3)]];
      const key = a < b ? `${a} ${b}` : `${b} ${a}`;
      edges.set(key, (edges.get(key) ?? 0) + (a < b ? 1 : -1));
    }
  }
  return [...edges.values()].filter((sum) => sum !== 0).length;
}

function ball(radius: number, spacing: Vec3 = [1, 1, 1]): { data: Uint8Array; shape: Vec3 } {
  const shape = spacing.map((mm) => 2 * Math.ceil(radius / mm) + 3) as Vec3;
  const data = new Uint8Array(shape[0] * shape[1] * shape[2]);
  let i = 0;
  for (let d = 0; d < shape[0]; d++) {
    for (let h = 0; h < shape[1]; h++) {
      for (let w = 0; w < shape[2]; w++, i++) {
        const far = Math.hypot(...[d, h, w].map((at, axis) => (at - (shape[axis] - 1) / 2) * spacing[axis]));
        if (far <= radius) data[i] = 4;
      }
    }
  }
  return { data, shape };
}

describe("surface nets", () => {
  it("give a ball's area and volume, closed and looking outwards", () => {
    for (const radius of [8, 15]) {
      const { data, shape } = ball(radius);
      const mesh = surfaceNets(data, shape, 4, identity);
      const { area, volume } = measure(mesh);
      // The voxels of the ball themselves take 1.7 % less and 0.1 % more than the ball.
      expect(Math.abs(area / (4 * Math.PI * radius ** 2) - 1)).toBeLessThan(0.02);
      expect(Math.abs(volume / ((4 / 3) * Math.PI * radius ** 3) - 1)).toBeLessThan(0.03);
      expect(openEdges(mesh)).toBe(0);
    }
  });

  it("follow voxel sizes, turns and mirrorings of the affine", () => {
    const { data, shape } = ball(12, [2, 1, 0.75]);
    // i runs along y by 0.75 mm, j along x by 1, k along -z by 2.
    const turned = [0, 1, 0, 5, 0.75, 0, 0, -3, 0, 0, -2, 40, 0, 0, 0, 1];
    const mirrored = [0, -1, 0, 5, 0.75, 0, 0, -3, 0, 0, -2, 40, 0, 0, 0, 1];
    for (const affine of [turned, mirrored]) {
      const mesh = surfaceNets(data, shape, 4, affine);
      const { area, volume } = measure(mesh);
      expect(Math.abs(area / (4 * Math.PI * 144) - 1)).toBeLessThan(0.05); // coarser along k
      expect(volume).toBeGreaterThan(0.94 * (4 / 3) * Math.PI * 12 ** 3);
    }
  });

  it("without relaxation keep the corners of one voxel between its middle and its neighbours'", () => {
    const mesh = surfaceNets(Uint8Array.of(0, 7, 0), [1, 1, 3], 7, identity, { steps: 0 });
    // Eight cells around it; three edges of each cross, so a vertex lies a sixth of a voxel beyond the mean of their middles.
    expect(mesh.vertices.length / 3).toBe(8);
    expect(mesh.triangles.length / 3).toBe(12);
    expect(Math.max(...mesh.vertices)).toBeCloseTo(1 + 1 / 6, 6);
    expect(measure(mesh).volume).toBeCloseTo((1 / 3) ** 3, 6);
    expect(surfaceNets(Uint8Array.of(0, 7, 0), [1, 1, 3], 5, identity).triangles.length).toBe(0);
  });

  it("are closed for all maps, at the edge of the scan too", () => {
    const maps = fc.uint8Array({ minLength: 60, maxLength: 60, max: 1 });
    fc.assert(
      fc.property(maps, (data) => {
        const mesh = surfaceNets(data, [3, 4, 5], 1, identity);
        expect(openEdges(mesh)).toBe(0);
        expect(mesh.triangles.every((v) => v < mesh.vertices.length / 3)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
