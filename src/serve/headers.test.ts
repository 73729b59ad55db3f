import { hostname } from "node:os";
import { expect, test } from "vitest";
import { hostAllowed, pagePolicy } from "./headers.ts";

test("a server of this machine answers to its own names alone", () => {
  for (const name of ["localhost", "localhost:8137", "127.0.0.1:8137", "[::1]:8137", "LOCALHOST:1"]) {
    expect(hostAllowed(name, "127.0.0.1"), name).toBe(true);
  }
  const others = [
    "evil.example",
    "evil.example:8137",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.168.1.4:8137",
  ];
  for (const name of [undefined, "", "user@localhost", "localhost/x", "localhost, evil.example", ...others]) {
    expect(hostAllowed(name, "127.0.0.1"), String(name)).toBe(false);
  }
});

test("a server of the network answers to addresses in digits, its stated name and the machine's name", () => {
  for (const name of ["192.168.1.4:8137", "[fe80::1]:8137", "localhost:8137", `${hostname()}:8137`]) {
    expect(hostAllowed(name, "0.0.0.0"), name).toBe(true);
  }
  expect(hostAllowed("lab.example:8137", "lab.example")).toBe(true);
  expect(hostAllowed("evil.example:8137", "0.0.0.0")).toBe(false);
});

test("the page's policy allows no inline code, no inline style and no other origin", () => {
  expect(pagePolicy).not.toMatch(/unsafe|\*|https?:/);
  expect(pagePolicy).toContain("default-src 'none'");
});
