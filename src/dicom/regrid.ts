/** How unevenly spaced slices, or slices shifted within their plane, are brought onto a straight grid of even steps. */
export interface Regrid {
  /** Of each slice, relative to the first: mm along the normal, and pixels along a row (i) and a column (j). */
  places: { along: number; i: number; j: number }[];
  /** mm between slices of the new grid. */
  step: number;
  slices: number;
  /** Pixels by which the new grid begins before the first slice's first pixel; not above 0. */
  i0: number;
  j0: number;
  columns: number;
  rows: number;
}

/** The smallest grid that holds all slices of `columns` x `rows` pixels whole. */
export function planRegrid(places: Regrid["places"], step: number, columns: number, rows: number): Regrid {
  const range = (axis: "i" | "j"): [number, number] => {
    const shifts = places.map((place) => place[axis]);
    // Rounding of positions must not add a line of empty pixels.
    return [Math.floor(Math.min(...shifts) + 1e-3), Math.ceil(Math.max(...shifts) - 1e-3)];
  };
  const [[i0, i1], [j0, j1]] = [range("i"), range("j")];
  const slices = Math.floor(places[places.length - 1].along / step + 1e-3) + 1;
  return { places, step, slices, i0, j0, columns: columns + i1 - i0, rows: rows + j1 - j0 };
}

/**
 * Voxels on the new grid, [slices, rows, columns], by linear interpolation along the normal and within the slices; the lowest value of
 * the scan where no slice reaches. `data` holds the slices one after the other.
 */
export function regrid(data: ArrayLike<number>, columns: number, rows: number, plan: Regrid): Float32Array {
  const { places, step, slices, i0, j0 } = plan;
  const size = plan.columns * plan.rows;
  let lowest = Number.POSITIVE_INFINITY;
  for (let at = 0; at < data.length; at++) if (data[at] < lowest) lowest = data[at];
  const out = new Float32Array(size * slices);
  for (let k = 0, low = 0; k < slices; k++) {
    const along = Math.min(k * step, places[places.length - 1].along);
    while (low + 2 < places.length && places[low + 1].along <= along) low++;
    const share = (along - places[low].along) / (places[low + 1].along - places[low].along);
    for (const [slice, weight] of [
      [low, 1 - share],
      [low + 1, share],
    ]) {
      if (weight === 0) continue;
      const [di, dj] = [i0 - places[slice].i, j0 - places[slice].j];
      const pixel = (i: number, j: number): number =>
        i < 0 || j < 0 || i >= columns || j >= rows ? lowest : data[(slice * rows + j) * columns + i];
      const [wholeI, wholeJ] = [Math.floor(di), Math.floor(dj)];
      const [u, v] = [di - wholeI, dj - wholeJ];
      for (let y = 0, at = k * size; y < plan.rows; y++) {
        const j = y + wholeJ;
        for (let x = 0; x < plan.columns; x++, at++) {
          const i = x + wholeI;
          const above = pixel(i, j) * (1 - u) + (u > 0 ? pixel(i + 1, j) * u : 0);
          const below = v > 0 ? pixel(i, j + 1) * (1 - u) + (u > 0 ? pixel(i + 1, j + 1) * u : 0) : 0;
          out[at] += weight * (above * (1 - v) + below * v);
        }
      }
    }
  }
  return out;
}
