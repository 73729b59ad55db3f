import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";
import { channelsOf, planeEmitter, rotateRing, stripBytes, type WinogradSource } from "./winograd.ts";

/**
 * The weight gradient of F(2x2, 3x3): dU += sum over tiles of (B' d B) x (A dy A'), a matrix product of [channels x tiles] and [tiles x
 * outputs] for each of 16 positions and kd taps; G' dU G gives the 3x3 filters afterwards (winograd-weights.ts).
 */
export interface WinogradGradientSpec {
  kd: 1 | 3;
  tilesW: number;
  tileRows: number;
  sources: WinogradSource[];
  /** 128-bit vectors of the output gradient's voxel, V of them in a channel block. */
  vectors: number;
  V: number;
  gradPixel: number;
  gradRow: number;
  gradPlane: number;
}

export function winogradGradientScratch(spec: WinogradGradientSpec): number {
  return spec.kd * stripBytes(spec, channelsOf(spec.sources)) + stripBytes(spec, 4 * spec.vectors);
}

/** Arguments: dy, dU, scratch, planes, strips, then one address a source (its window's first voxel). dU is added to. */
export function emitWinogradGradient(f: FunctionBuilder, spec: WinogradGradientSpec, tiles: TileChoice): void {
  const [DY, DU, SCRATCH, PLANES, STRIPS] = [0, 1, 2, 3, 4];
  const { V, kd } = spec;
  const channels = channelsOf(spec.sources);
  const T = spec.tilesW * spec.tileRows;
  const ringBytes = stripBytes(spec, channels);
  const most = tileRows(V, tiles, "weightGradient");
  const parts = evenParts(channels, most);
  const U = divisorUpTo(T, 4);
  const [stripCount, planeCount, held, gradAt, gradPlane] = [f.int(), f.int(), f.int(), f.int(), f.int()];
  const ring = Array.from({ length: kd }, () => f.int());
  const source = spec.sources.map(() => f.int());
  const loops = { rows: f.int(), tiles: f.int(), vectors: f.int() };
  const temporaries = f.vectors(8);
  const acc: Local[][] = Array.from({ length: parts[0].size }, () => f.vectors(V));
  const grad = f.vectors(V);
  const splat = f.vector();
  const [to, x, dy, xPosition, dyPosition, position] = [f.int(), f.int(), f.int(), f.int(), f.int(), f.int()];
  const [blockCount, positionCount, partCount, tileCount] = [f.int(), f.int(), f.int(), f.int()];

  const inputPlane = planeEmitter(f, spec, source, loops, temporaries);

  const products = (): void => {
    f.copy(DU, to).copy(gradAt, dyPosition);
    f.repeat(blockCount, spec.vectors / V, () => {
      f.const(0).set(position);
      f.repeat(positionCount, 16, () => {
        for (let k = 0; k < kd; k++) {
          f.get(ring[k]).get(position).addInt().set(xPosition);
          for (const { count, size } of parts) {
            f.repeat(partCount, count, () => {
              for (let p = 0; p < size; p++) for (let v = 0; v < V; v++) f.zero().set(acc[p][v]);
              f.copy(xPosition, x).copy(dyPosition, dy);
              f.repeat(tileCount, T / U, () => {
                for (let u = 0; u < U; u++) {
                  for (let v = 0; v < V; v++)
                    f.get(dy)
                      .load(u * spec.vectors * 16 + v * 16)
                      .set(grad[v]);
                  for (let p = 0; p < size; p++) {
                    f.get(x)
                      .loadSplat((u * channels + p) * 4)
                      .set(splat);
                    for (let v = 0; v < V; v++) f.fma(splat, grad[v], acc[p][v]);
                  }
                }
                f.advance(x, U * channels * 4).advance(dy, U * spec.vectors * 16);
              });
              for (let p = 0; p < size; p++) {
                for (let v = 0; v < V; v++)
                  f.get(to)
                    .load((p * V + v) * 16)
                    .get(acc[p][v])
                    .add()
                    .set(acc[p][v]);
              }
              for (let p = 0; p < size; p++) {
                for (let v = 0; v < V; v++)
                  f.get(to)
                    .get(acc[p][v])
                    .store((p * V + v) * 16);
              }
              f.advance(to, size * V * 16).advance(xPosition, size * 4);
            });
          }
        }
        f.advance(position, ringBytes / 16).advance(dyPosition, T * spec.vectors * 16);
      });
      f.advance(dyPosition, V * 16 - 16 * T * spec.vectors * 16);
    });
  };

  f.repeat(stripCount, { local: STRIPS }, () => {
    f.copy(DY, gradPlane);
    spec.sources.forEach((_, s) => {
      f.copy(5 + s, source[s]);
    });
    ring.forEach((slot, k) => {
      f.copy(SCRATCH, slot, k * ringBytes);
    });
    f.copy(SCRATCH, gradAt, kd * ringBytes);
    for (let k = 0; k < kd - 1; k++) inputPlane(ring[k]);
    f.repeat(planeCount, { local: PLANES }, () => {
      inputPlane(ring[kd - 1]);
      emitGradientTransform(f, spec, gradPlane, gradAt, loops, temporaries);
      products();
      rotateRing(f, ring, held);
      f.advance(gradPlane, spec.gradPlane);
    });
    f.advance(DY, 2 * spec.tileRows * spec.gradRow);
    spec.sources.forEach((walk, s) => {
      f.advance(5 + s, 2 * spec.tileRows * walk.rowBytes);
    });
  });
}

/** A dy A' of one plane of a strip: [16][tile][output channels]. */
function emitGradientTransform(
  f: FunctionBuilder,
  spec: WinogradGradientSpec,
  from: Local,
  to: Local,
  loops: { rows: Local; tiles: Local; vectors: Local },
  t: Local[],
): void {
  const G = spec.vectors % 2 === 0 ? 2 : 1;
  const position = spec.tilesW * spec.tileRows * spec.vectors * 16;
  const [row, tile, out] = [f.int(), f.int(), f.int()];
  const zero = f.vector();
  f.zero().set(zero).copy(from, row).copy(to, out);
  f.repeat(loops.rows, spec.tileRows, () => {
    f.copy(row, tile);
    f.repeat(loops.tiles, spec.tilesW, () => {
      f.repeat(loops.vectors, spec.vectors / G, () => {
        for (let i = 0; i < 4; i++) {
          for (let j = 0; j < 2; j++) {
            for (let g = 0; g < G; g++) {
              const upper = j * spec.gradPixel + g * 16;
              const lower = upper + spec.gradRow;
              if (i === 3) f.get(zero);
              else f.get(tile).load(upper);
              if (i > 0) f.get(tile).load(lower);
              if (i === 1) f.add();
              else if (i > 1) f.sub();
              f.set(t[j * G + g]);
            }
          }
          for (let j = 0; j < 4; j++) {
            for (let g = 0; g < G; g++) {
              f.get(out).get(j === 3 ? zero : t[g]);
              if (j > 0) f.get(t[G + g]);
              if (j === 1) f.add();
              else if (j > 1) f.sub();
              f.store((i * 4 + j) * position + g * 16);
            }
          }
        }
        f.advance(tile, G * 16).advance(out, G * 16);
      });
      f.advance(tile, 2 * spec.gradPixel - spec.vectors * 16);
    });
    f.advance(row, 2 * spec.gradRow);
  });
}
