import { expect, test } from "vitest";
import { textTable } from "./text-table.ts";

test("names stand left, numbers right, and no line ends in spaces", () => {
  const rows = [
    ["net", "form", "ms"],
    ["lean:8", "", "9.5"],
    ["x", "direct", "100.0"],
  ];
  expect(textTable(rows, 2)).toBe(
    ["net     form       ms", "lean:8            9.5", "x       direct  100.0"].join("\n"),
  );
  expect(
    textTable(
      [
        ["a", "b"],
        ["long", ""],
      ],
      2,
    ),
  ).toBe("a     b\nlong");
});
