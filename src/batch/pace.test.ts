import { expect, test } from "vitest";
import { createPace } from "./pace.ts";

test("pace: by the cases before, without the start once it does not count", () => {
  let ms = 0;
  const pace = createPace(100, () => ms);
  expect(pace.words()).toEqual([]);
  ms += 22_000;
  pace.end(true);
  expect(pace.words()).toEqual(["22.0 s a scan, 36 min 18 s left"]);
  for (let i = 0; i < 9; i++) {
    ms += 500;
    pace.end(i > 0);
  }
  // 90 cases at 0.5 s.
  expect(pace.words()).toEqual(["2.0 scans/s, 45 s left, 1 failed"]);
  expect(pace.left()).toBe("  45 s left");
  for (let i = 0; i < 90; i++) pace.end(true);
  expect(pace.left()).toBe("");
});
