import { expect, it } from "vitest";
import { startTime } from "./time.ts";

it("takes a fixed time from the environment", () => {
  expect(startTime({ SOURCE_DATE_EPOCH: "86400" })).toBe("1970-01-02T00:00:00.000Z");
  expect(() => startTime({ SOURCE_DATE_EPOCH: "today" })).toThrow("SOURCE_DATE_EPOCH");
});
