import { expect, test } from "vitest";
import { UserError } from "../../util/errors.ts";
import { createArena, createPool } from "./arena.ts";

test("addresses are aligned, do not overlap and never 0", () => {
  const arena = createArena();
  expect([arena.take(1), arena.take(64), arena.take(65), arena.take(4)]).toEqual([64, 128, 192, 320]);
  expect([arena.plan().total, arena.pages()]).toEqual([384, 1]);
  arena.take(65536);
  expect(arena.pages()).toBe(2);
});

test("bytes count for their use, alignment included", () => {
  const arena = createArena();
  arena.for("gradients").take(65);
  arena.for("weights").take(64);
  arena.for("gradients").take(1);
  arena.take(2);
  const { total, uses } = arena.plan();
  // Address 0 is nobody's.
  expect(uses).toMatchObject({ gradients: 192, weights: 64, other: 128, activations: 0 });
  expect(Object.values(uses).reduce((sum, bytes) => sum + bytes)).toBe(total);
});

test("4 GiB is the end, said with the patch and the batch; the plan goes on", () => {
  const arena = createArena();
  arena.take(4 * 2 ** 30 - 2 * 65536);
  expect(arena.pages()).toBe(65535);
  arena.take(65536);
  expect(() => arena.pages()).toThrow(UserError);
  expect(() => arena.pages()).toThrow(/needs 4\.0 GiB .* patch .*batch/);
  arena.take(6 * 2 ** 30);
  expect(arena.plan().total).toBe(10 * 2 ** 30 - 65536 + 64);
});

test("a pool gives an address again only for the same key", () => {
  const pool = createPool(createArena());
  const first = pool.take("a", 64);
  pool.give("a", first);
  expect(pool.take("b", 64)).not.toBe(first);
  expect(pool.take("a", 64)).toBe(first);
  expect(pool.take("a", 64)).not.toBe(first);
});
