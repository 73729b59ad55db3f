import { vi } from "vitest";

export interface Printed {
  code: number;
  stdout: string;
  stderr: string;
  /** Both, in the order in which they came. */
  text: string;
}

/** Runs `lunet ARGS` as the shell would, in this process; gives the exit code and all that it printed. For tests. */
export async function lunet(...args: string[]): Promise<Printed> {
  // A command keeps the options of its last call, so each call gets fresh modules.
  vi.resetModules();
  const { main } = await import("./main.ts");
  const before = process.stdout.listeners("error");
  const printed = { stdout: "", stderr: "", text: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((part) => {
      printed[name] += part;
      printed.text += part;
      return true;
    }),
  );
  try {
    // A command that was stopped says so here, which must not become the exit code of the tests.
    process.exitCode = undefined;
    return { code: await main(args), ...printed };
  } finally {
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
    // Each fresh main listens for ever.
    const added = process.stdout.listeners("error").filter((listener) => !before.includes(listener));
    for (const listener of added) process.stdout.off("error", listener as () => void);
  }
}
