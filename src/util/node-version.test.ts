import { afterEach, expect, test, vi } from "vitest";
import { checkNode } from "./node-version.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("old Nodes are refused, slow ones named once, fast ones and browsers pass", () => {
  const said = vi.spyOn(console, "warn").mockImplementation(() => {});
  for (const version of ["18.20.8", "20.20.2", "22.2.0"]) {
    expect(() => checkNode(version)).toThrow(`lunet needs Node 22.3 or newer, and this is ${version}; install a newer`);
  }
  for (const version of ["22.3.0", "22.3.0", "24.0.0", "26.10.0", ""]) checkNode(version);
  checkNode();
  expect(said.mock.calls).toEqual([
    ["Note: Node 22.3.0 runs lunet's engine about three times slower than Node 24 or newer."],
  ]);
});
