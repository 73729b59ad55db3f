import { expect, test } from "vitest";
import { UserError } from "../../util/errors.ts";
import { createArena, createPool } from "./arena.ts";

test("addresses are aligned, do not overlap and never 0", () => {
  const arena = createArena();
  expect([arena.take(1), arena.take(64), arena.take(65), arena.take(4)]).toEqual([64, 128, 192, 320]);
  expect([arena.bytes(), arena.pages()]).toEqual([384, 1]);
  arena.take(65536);
  expect(arena.pages()).toBe(2);
});

test("4 GiB is the end, said with the patch and the batch", () => {
  const arena = createArena();
  arena.take(4 * 2 ** 30 - 2 * 65536);
  expect(arena.pages()).toBe(65535);
  const beyond = (): number => arena.take(65536);
  expect(beyond).toThrow(UserError);
  expect(beyond).toThrow(/needs more than 4\.0 GiB .* patch .*batch/);
});

test("a pool gives an address again only for the same key", () => {
  const pool = createPool(createArena());
  const first = pool.take("a", 64);
  pool.give("a", first);
  expect(pool.take("b", 64)).not.toBe(first);
  expect(pool.take("a", 64)).toBe(first);
  expect(pool.take("a", 64)).not.toBe(first);
});
