import type { FunctionBuilder, Local } from "./emit.ts";

/** Outputs of a tile along an axis: F(2x2, 3x3) or F(4x4, 3x3). A tile's window has two voxels more. */
export type TileSize = 2 | 4;

/** Products of a tile: (m + 2)^2. */
export const positionsOf = (m: TileSize): number => (m + 2) ** 2;

/**
 * F(4, 3) interpolates at 0, +-a, +-b and infinity. With a = 1 / sqrt(2), b = sqrt(2) its results have twice the rounding error of direct
 * convolution, with the textbook's 1 and 2 four times (root mean square, measured on 48 channels; how points are chosen: Barabasz
 * et al. 2020, "Error analysis and improving the accuracy of Winograd convolution for deep neural networks").
 */
const A = Math.SQRT1_2;
const B = Math.SQRT2;

/** Rows of G, the filter's transform, which carries the interpolation's divisors. */
export const filterRows: Record<TileSize, readonly (readonly [number, number, number])[]> = {
  2: [
    [1, 0, 0],
    [1 / 2, 1 / 2, 1 / 2],
    [1 / 2, -1 / 2, 1 / 2],
    [0, 0, 1],
  ],
  4: [
    [1, 0, 0],
    [-2 / 3, (-2 * A) / 3, -1 / 3],
    [-2 / 3, (2 * A) / 3, -1 / 3],
    [1 / 6, B / 6, 1 / 3],
    [1 / 6, -B / 6, 1 / 3],
    [0, 0, 1],
  ],
};

/** Registers of the line transforms: temporaries, and the constants that F(4, 3) needs. */
export interface LineRegisters {
  t: Local[];
  half: Local;
  two: Local;
  fiveHalves: Local;
  a: Local;
  b: Local;
}

/** Temporaries a vector. */
const SLOTS = 6;

/** Sets the constants; call it once, at the function's start. */
export function lineRegisters(f: FunctionBuilder): LineRegisters {
  const constant = (value: number): Local => {
    const local = f.vector();
    f.splatConst(value).set(local);
    return local;
  };
  return {
    t: f.vectors(2 * SLOTS),
    half: constant(0.5),
    two: constant(2),
    fiveHalves: constant(2.5),
    a: constant(A),
    b: constant(B),
  };
}

/** Where a line's values come from and go: G neighbouring vectors at once, which V8 can then merge. */
export interface Line {
  G: number;
  /** Pushes value i of vector g. */
  load(i: number, g: number): void;
  /** Stores value i; `push(g)` pushes it for vector g. */
  store(i: number, push: (g: number) => void): void;
}

/** What the transforms are written with: slots of G vectors each. */
function slotsOf(f: FunctionBuilder, registers: LineRegisters, { G, load, store }: Line) {
  const at = (slot: number, g: number): Local => registers.t[slot * G + g];
  const each = (slot: number, push: (g: number) => void): void => {
    for (let g = 0; g < G; g++) {
      push(g);
      f.set(at(slot, g));
    }
  };
  return {
    load: (slot: number, i: number): void => each(slot, (g) => load(i, g)),
    set: each,
    add: (x: number, y: number) => (g: number) => f.get(at(x, g)).get(at(y, g)).add(),
    sub: (x: number, y: number) => (g: number) => f.get(at(x, g)).get(at(y, g)).sub(),
    mul: (k: Local, x: number) => (g: number) => f.get(at(x, g)).get(k).mul(),
    /** k x + y */
    fma: (k: Local, x: number, y: number) => (g: number) => f.fmaValue(k, at(x, g), at(y, g)),
    /** y - k x */
    fnma: (k: Local, x: number, y: number) => (g: number) => f.fnmaValue(k, at(x, g), at(y, g)),
    value: (x: number) => (g: number) => f.get(at(x, g)),
    minus: (x: number) => (g: number) => f.zero().get(at(x, g)).sub(),
    store,
  };
}

/** B' d: a window's m + 2 values to as many. */
export function inputLine(f: FunctionBuilder, m: TileSize, registers: LineRegisters, line: Line): void {
  const s = slotsOf(f, registers, line);
  if (m === 2) {
    for (let i = 0; i < 4; i++) s.load(i, i);
    s.store(0, s.sub(0, 2));
    s.store(1, s.add(1, 2));
    s.store(2, s.sub(2, 1));
    s.store(3, s.sub(1, 3));
    return;
  }
  const { half, two, fiveHalves, a, b } = registers;
  // The even values, then what the odd ones share with them.
  for (let i = 0; i < 3; i++) s.load(i, 2 * i);
  s.set(3, s.add(0, 2));
  s.store(0, s.fnma(fiveHalves, 1, 3));
  s.set(3, s.fnma(two, 1, 2));
  s.set(4, s.fnma(half, 1, 2));
  s.load(0, 1);
  s.load(1, 3);
  s.set(2, s.fnma(two, 0, 1));
  s.set(5, s.fnma(half, 0, 1));
  s.store(1, s.fma(a, 2, 3));
  s.store(2, s.fnma(a, 2, 3));
  s.store(3, s.fma(b, 5, 4));
  s.store(4, s.fnma(b, 5, 4));
  s.load(2, 5);
  s.set(2, s.add(0, 2));
  s.store(5, s.fnma(fiveHalves, 1, 2));
}

/** A' p: m + 2 products to m outputs. */
export function outputLine(f: FunctionBuilder, m: TileSize, registers: LineRegisters, line: Line): void {
  const s = slotsOf(f, registers, line);
  if (m === 2) {
    for (let i = 0; i < 4; i++) s.load(i, i);
    s.set(0, s.add(0, 1));
    s.store(0, s.add(0, 2));
    s.set(1, s.sub(1, 2));
    s.store(1, s.sub(1, 3));
    return;
  }
  const { half, two, a, b } = registers;
  s.load(0, 1);
  s.load(1, 2);
  s.set(2, s.add(0, 1));
  s.set(0, s.sub(0, 1));
  s.load(1, 3);
  s.load(3, 4);
  s.set(4, s.add(1, 3));
  s.set(1, s.sub(1, 3));
  s.set(0, s.mul(a, 0));
  s.set(1, s.mul(b, 1));
  s.load(3, 0);
  s.set(3, s.add(3, 2));
  s.store(0, s.add(3, 4));
  s.store(1, s.add(0, 1));
  s.set(3, s.mul(half, 2));
  s.store(2, s.fma(two, 4, 3));
  s.load(3, 5);
  s.set(3, s.fma(half, 0, 3));
  s.store(3, s.fma(two, 1, 3));
}

/** A dy: the gradients of m outputs to m + 2. */
export function gradientLine(f: FunctionBuilder, m: TileSize, registers: LineRegisters, line: Line): void {
  const s = slotsOf(f, registers, line);
  for (let i = 0; i < m; i++) s.load(i, i);
  if (m === 2) {
    s.store(0, s.value(0));
    s.store(1, s.add(0, 1));
    s.store(2, s.sub(0, 1));
    s.store(3, s.minus(1));
    return;
  }
  const { half, two, a, b } = registers;
  s.store(0, s.value(0));
  s.store(5, s.value(3));
  s.set(4, s.fma(half, 2, 0));
  s.set(5, s.fma(half, 3, 1));
  s.store(1, s.fma(a, 5, 4));
  s.store(2, s.fnma(a, 5, 4));
  s.set(4, s.fma(two, 2, 0));
  s.set(5, s.fma(two, 3, 1));
  s.store(3, s.fma(b, 5, 4));
  s.store(4, s.fnma(b, 5, 4));
}
