import { expect, test } from "vitest";
import { are, counted } from "./counted.ts";

test("one of a thing, or several", () => {
  expect([0, 1, 2, 1500].map((n) => counted(n, "step"))).toEqual(["0 steps", "1 step", "2 steps", "1500 steps"]);
  expect([counted(1, "copy", "copies"), counted(2, "copy", "copies")]).toEqual(["1 copy", "2 copies"]);
  expect([1, 2].map(are)).toEqual(["is", "are"]);
});
