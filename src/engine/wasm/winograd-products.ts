import type { FunctionBuilder, Local } from "./emit.ts";
import { divisorUpTo, evenParts, type TileChoice, tileRows } from "./tiles.ts";
import { positionsOf, type TileSize } from "./winograd-lines.ts";
import { positionBytes } from "./winograd-planes.ts";

/**
 * Returns the emitter of one channel block's products: products[position][tile][4 V] = sum over kd and channels of the ring
 * times the weights at `weights`, which then stands at the next block.
 */
export function productEmitter(
  f: FunctionBuilder,
  shape: { m: TileSize; T: number; V: number; kd: number; channels: number },
  tiles: TileChoice,
): (ring: Local[], weights: Local, products: Local) => void {
  const { m, T, V, kd, channels } = shape;
  const parts = evenParts(T, tileRows(V, tiles, "conv"));
  // kd copies of the body, for two sizes of part: longer ones would leave the cache of decoded instructions (a quarter slower).
  const U = divisorUpTo(channels, 4);
  const acc = Array.from({ length: parts[0].size }, () => f.vectors(V));
  const weight = f.vectors(V);
  const splat = f.vector();
  const [w, x, column, to] = [f.int(), f.int(), f.int(), f.int()];
  const [positionCount, partCount, stepCount, position] = [f.int(), f.int(), f.int(), f.int()];
  return (ring, weights, products) => {
    f.copy(products, to).const(0).set(position);
    f.repeat(positionCount, positionsOf(m), () => {
      f.copy(position, column);
      for (const { count, size } of parts) {
        f.repeat(partCount, count, () => {
          for (let p = 0; p < size; p++) for (let v = 0; v < V; v++) f.zero().set(acc[p][v]);
          f.copy(weights, w);
          for (let k = 0; k < kd; k++) {
            f.get(ring[k]).get(column).addInt().set(x);
            f.repeat(stepCount, channels / U, () => {
              for (let u = 0; u < U; u++) {
                for (let v = 0; v < V; v++)
                  f.get(w)
                    .load((u * V + v) * 16)
                    .set(weight[v]);
                for (let p = 0; p < size; p++) {
                  f.get(x)
                    .loadSplat((p * channels + u) * 4)
                    .set(splat);
                  for (let v = 0; v < V; v++) f.fma(splat, weight[v], acc[p][v]);
                }
              }
              f.advance(w, U * V * 16).advance(x, U * 4);
            });
          }
          for (let p = 0; p < size; p++)
            for (let v = 0; v < V; v++)
              f.get(to)
                .get(acc[p][v])
                .store((p * V + v) * 16);
          f.advance(to, size * V * 16).advance(column, size * channels * 4);
        });
      }
      f.copy(w, weights).advance(position, positionBytes(T, channels));
      f.advance(to, positionBytes(T, 4 * V) - T * V * 16);
    });
  };
}
