import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";
import { channelsOf, eachStrip, mostChannels, planeEmitter, rotateRing, type Strips, stripBytes } from "./winograd.ts";
import { lineRegisters, positionsOf } from "./winograd-lines.ts";
import { emitTransformedPlane, positionBytes, rowsBytes, transformLoops } from "./winograd-planes.ts";

/**
 * The weight gradient of F(m x m, 3x3): dU += sum over tiles of (B' d B) x (A dy A'), a matrix product of [channels x tiles] and [tiles x
 * outputs] for each position and kd tap; G' dU G gives the 3x3 filters afterwards (winograd-weights.ts).
 */
export interface WinogradGradientSpec extends Strips {
  kd: 1 | 3;
  /** 128-bit vectors of the output gradient's voxel, V of them in a channel block. */
  vectors: number;
  V: number;
  gradPixel: number;
  gradRow: number;
  gradPlane: number;
}

export function winogradGradientScratch(spec: WinogradGradientSpec): number {
  const rows = rowsBytes(spec, Math.max(mostChannels(spec.sources), 4 * spec.vectors));
  return spec.kd * stripBytes(spec, channelsOf(spec.sources)) + stripBytes(spec, 4 * spec.vectors) + rows;
}

/** Arguments: dy, dU, scratch, planes, strip rows, then one address a source (its window's first voxel). dU is added to. */
export function emitWinogradGradient(f: FunctionBuilder, spec: WinogradGradientSpec, tiles: TileChoice): void {
  const [DY, DU, SCRATCH, PLANES, STRIPS] = [0, 1, 2, 3, 4];
  const { m, tilesW, kd } = spec;
  const ringBytes = stripBytes(spec, channelsOf(spec.sources));
  const [planeCount, held, gradAt, gradPlane] = [f.int(), f.int(), f.int(), f.int()];
  const ring = Array.from({ length: kd }, () => f.int());
  const source = spec.sources.map(() => f.int());
  const loops = transformLoops(f);
  const registers = lineRegisters(f);
  const inputPlane = planeEmitter(f, spec, source, loops, registers);
  const products = gradientProducts(f, spec, tiles);

  const strip = (): void => {
    f.copy(DY, gradPlane);
    spec.sources.forEach((_, s) => {
      f.copy(5 + s, source[s]);
    });
    ring.forEach((slot, k) => {
      f.copy(SCRATCH, slot, k * ringBytes);
    });
    f.copy(SCRATCH, gradAt, kd * ringBytes);
    f.copy(gradAt, loops.buffer, stripBytes(spec, 4 * spec.vectors));
    for (let k = 0; k < kd - 1; k++) inputPlane(ring[k]);
    f.repeat(planeCount, { local: PLANES }, () => {
      inputPlane(ring[kd - 1]);
      const { tileRows, vectors, gradRow } = spec;
      const walk = { m, tilesW, tileRows, vectors, rowBytes: gradRow, channels: 4 * vectors, offset: 0 };
      emitTransformedPlane(f, "gradient", walk, gradPlane, gradAt, loops, registers);
      products(ring, gradAt, DU);
      rotateRing(f, ring, held);
      f.advance(gradPlane, spec.gradPlane);
    });
  };
  const walks = spec.sources.map((walk, s) => ({ local: 5 + s, pixel: walk.pixelBytes, row: walk.rowBytes }));
  eachStrip(f, spec, STRIPS, [{ local: DY, pixel: spec.gradPixel, row: spec.gradRow }, ...walks], strip);
}

/** Returns the emitter of dU[channel block][position][kd][channel][4 V] += ring x gradient. */
function gradientProducts(
  f: FunctionBuilder,
  spec: WinogradGradientSpec,
  tiles: TileChoice,
): (ring: Local[], gradient: Local, dU: Local) => void {
  const { m, V, kd } = spec;
  const channels = channelsOf(spec.sources);
  const T = spec.tilesW * spec.tileRows;
  const gradPosition = positionBytes(T, spec.vectors * 4);
  const parts = evenParts(channels, tileRows(V, tiles, "weightGradient"));
  const U = divisorUpTo(T, 4);
  const acc: Local[][] = Array.from({ length: parts[0].size }, () => f.vectors(V));
  const grad = f.vectors(V);
  const splat = f.vector();
  const [to, x, dy, xPosition, dyPosition, position] = [f.int(), f.int(), f.int(), f.int(), f.int(), f.int()];
  const [blockCount, positionCount, partCount, tileCount] = [f.int(), f.int(), f.int(), f.int()];

  /** One part of the channels: sums over the strip's tiles in registers, then adds them to dU. */
  const part = (size: number): void => {
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
  };

  return (ring, gradient, dU) => {
    f.copy(dU, to).copy(gradient, dyPosition);
    f.repeat(blockCount, spec.vectors / V, () => {
      f.const(0).set(position);
      f.repeat(positionCount, positionsOf(m), () => {
        for (let k = 0; k < kd; k++) {
          f.get(ring[k]).get(position).addInt().set(xPosition);
          for (const { count, size } of parts) f.repeat(partCount, count, () => part(size));
        }
        f.advance(position, positionBytes(T, channels)).advance(dyPosition, gradPosition);
      });
      f.advance(dyPosition, V * 16 - positionsOf(m) * gradPosition);
    });
  };
}
