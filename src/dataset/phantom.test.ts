import { describe, expect, it } from "vitest";
import type { Vec3 } from "../volume/volume.ts";
import { makePhantom } from "./phantom.ts";

/** Number of voxels of each label and of face-to-face contacts between labels 1 and 2. */
function census(label: { data: Uint8Array; shape: Vec3 }): { count: number[]; contacts: number; border: number } {
  const { data, shape } = label;
  const count = [0, 0, 0];
  let contacts = 0;
  let border = 0;
  const strides = [shape[1] * shape[2], shape[2], 1];
  for (let i = 0; i < data.length; i++) {
    count[data[i]]++;
    const position = [Math.floor(i / strides[0]), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
    if (data[i] && position.some((p, a) => p === 0 || p === shape[a] - 1)) border++;
    for (let a = 0; a < 3; a++) {
      if (position[a] + 1 < shape[a] && data[i] * data[i + strides[a]] === 2) contacts++;
    }
  }
  return { count, contacts, border };
}

/** Mean brightness under a label. */
function meanOf(image: Float32Array, label: Uint8Array, value: number): number {
  let sum = 0;
  let n = 0;
  for (let i = 0; i < label.length; i++) {
    if (label[i] === value) {
      sum += image[i];
      n++;
    }
  }
  return sum / n;
}

describe("makePhantom", () => {
  const scans = [0, 1, 2, 3].map((index) => makePhantom(5, index));

  it("gives the same scan for the same seed and index, another for another", () => {
    expect(makePhantom(5, 1)).toEqual(scans[1]);
    expect(makePhantom(6, 1).label).not.toEqual(scans[1].label);
    expect(new Set(scans.map((s) => s.image.shape.join())).size).toBeGreaterThan(1);
  });

  it("holds two touching parts inside the scan, a few hundred voxels or more each", () => {
    for (const { label, image } of scans) {
      const { count, contacts, border } = census(label);
      expect(label.shape).toEqual(image.shape);
      expect(count[1]).toBeGreaterThan(500);
      expect(count[2]).toBeGreaterThan(300);
      expect(count[1] + count[2]).toBeLessThan(0.08 * label.data.length);
      expect(contacts).toBeGreaterThan(20);
      expect(border).toBe(0);
    }
  });

  it("has the front part nearer to the front (larger H) and much tissue of the structure's brightness outside", () => {
    for (const { label, image } of scans) {
      const heights: number[][] = [[], [], []];
      label.data.forEach((value, i) => void heights[value].push(Math.floor(i / label.shape[2]) % label.shape[1]));
      const middle = (value: number): number => heights[value].reduce((a, b) => a + b, 0) / heights[value].length;
      expect(middle(1)).toBeGreaterThan(middle(2) + 5);
      const own = meanOf(image.data, label.data, 1);
      const alike = image.data.filter((v, i) => label.data[i] === 0 && Math.abs(v - own) < 0.1 * own).length;
      expect(alike).toBeGreaterThan(label.data.filter((v) => v > 0).length);
    }
  });

  it("has Rician noise: without noise every value is a mixture of tissues, with noise none is negative", () => {
    const clean = makePhantom(5, 0, { noise: 0, shape: [24, 30, 26] });
    const noisy = makePhantom(5, 0, { noise: 0.2, shape: [24, 30, 26] });
    expect(noisy.label).toEqual(clean.label);
    expect(noisy.image.data.every((v) => v >= 0)).toBe(true);
    let power = 0;
    let brightest = 0;
    for (let i = 0; i < clean.image.data.length; i++) {
      power += noisy.image.data[i] ** 2 - clean.image.data[i] ** 2;
      brightest = Math.max(brightest, clean.image.data[i]);
    }
    // E[M^2] = A^2 + 2 sigma^2 (Gudbjartsson and Patz 1995); white matter is within 20 % shading of the brightest voxel
    const sigma = Math.sqrt(power / clean.image.data.length / 2);
    expect(sigma / brightest).toBeGreaterThan(0.2 / 1.5);
    expect(sigma / brightest).toBeLessThan(0.22);
  });
});
