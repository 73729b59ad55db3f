import { expect, test } from "vitest";
import { nearest } from "./nearest.ts";

test("the candidate with the fewest changes, the first of equals, in any case", () => {
  expect(nearest("flit", ["lean", "flat"])).toBe("flat");
  expect(nearest("TAYLER", ["l1", "taylor"])).toBe("taylor");
  expect(nearest("l3", ["l1", "l2"])).toBe("l1");
  expect(nearest("", ["doubling", "unet"])).toBe("unet");
});
