import { readFileSync } from "node:fs";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UserError } from "../util/errors.ts";
import type { CommandEntry } from "./commands.ts";
import { main } from "./main.ts";

let printed: string;
beforeEach(() => {
  printed = "";
  const keep = (text: string | Uint8Array): boolean => {
    printed += text;
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(keep);
  vi.spyOn(process.stderr, "write").mockImplementation(keep);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** A command `act CASES... [--size N]` that does what the test says. */
function acting(action: (cases: string[], options: { size?: string }) => void | Promise<void>): CommandEntry[] {
  const act = new Command("act").argument("<cases...>").option("--size <n>", "a number").action(action);
  const never = async (): Promise<Command> => {
    throw new Error("loaded without need");
  };
  return [
    { name: "act", summary: "does what it is told", load: async () => act },
    { name: "other", summary: "is not loaded", load: never },
  ];
}

describe("main", () => {
  it("loads only the command that is called and hands over its arguments", async () => {
    const seen: unknown[] = [];
    const entries = acting((cases, options) => void seen.push(cases, options));
    expect(await main(["act", "a", "b", "--size", "3"], entries)).toBe(0);
    expect(seen).toEqual([["a", "b"], { size: "3" }]);
  });

  it("lists every command with one line, loading none", async () => {
    expect(
      await main(
        ["--help"],
        acting(() => {}),
      ),
    ).toBe(0);
    expect(printed).toMatch(/act .*does what it is told\n/);
    expect(printed).toMatch(/other .*is not loaded\n/);
  });

  it("shows a command's own help both ways", async () => {
    for (const args of [
      ["act", "--help"],
      ["help", "act"],
    ]) {
      printed = "";
      expect(
        await main(
          args,
          acting(() => {}),
        ),
      ).toBe(0);
      expect(printed).toContain("Usage: lunet act [options] <cases...>");
    }
  });

  it("prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    expect(
      await main(
        ["--version"],
        acting(() => {}),
      ),
    ).toBe(0);
    expect(printed).toBe(`${version}\n`);
  });

  it("answers wrong usage with exit code 2 and the nearest name", async () => {
    expect(
      await main(
        ["atc"],
        acting(() => {}),
      ),
    ).toBe(2);
    expect(printed).toContain("unknown command 'atc'");
    expect(printed).toContain("Did you mean act?");
    expect(
      await main(
        ["act", "x", "--sise", "3"],
        acting(() => {}),
      ),
    ).toBe(2);
    expect(printed).toContain("Did you mean --size?");
    expect(
      await main(
        ["act"],
        acting(() => {}),
      ),
    ).toBe(2);
    expect(
      await main(
        [],
        acting(() => {}),
      ),
    ).toBe(2);
  });

  it("prints a user's mistake as one sentence with exit code 1", async () => {
    const entries = acting(() => {
      throw new UserError("Expected a folder.");
    });
    expect(await main(["act", "x"], entries)).toBe(1);
    expect(printed).toBe("lunet: Expected a folder.\n");
    vi.stubEnv("LUNET_DEBUG", "1");
    expect(await main(["act", "x"], entries)).toBe(1);
    expect(printed).toContain("main.test.ts");
  });

  it("turns file system errors into sentences", async () => {
    const entries = acting(() => void readFileSync("/nowhere/scan.nii"));
    expect(await main(["act", "x"], entries)).toBe(1);
    expect(printed).toBe("lunet: /nowhere/scan.nii does not exist; check the path.\n");
  });

  it("ends quietly when its output is closed early, and in words when the disk is full", async () => {
    await main(
      ["--help"],
      acting(() => {}),
    );
    const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
    printed = "";
    process.stdout.emit("error", Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    expect(exit).toHaveBeenLastCalledWith(0);
    expect(printed).toBe("");
    process.stdout.emit("error", Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" }));
    expect(exit).toHaveBeenLastCalledWith(1);
    expect(printed).toBe(
      "lunet: The disk is full: the output could not be written; free some space and run the command again.\n",
    );
  });

  it("shows an internal fault with its stack and exit code 70", async () => {
    const entries = acting(async () => {
      throw new TypeError("broken inside");
    });
    expect(await main(["act", "x"], entries)).toBe(70);
    expect(printed).toContain("a fault in lunet");
    expect(printed).toContain("TypeError: broken inside");
    expect(printed).toContain("main.test.ts");
  });
});
