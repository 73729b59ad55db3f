import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    reporters: process.env.CI ? ["default", "./tools/closing-line.mjs"] : ["default"],
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "bench/**/*.test.ts"],
    // A process a file: the engine's worker threads and V8 flags must not leak from one test file into the next.
    pool: "forks",
    // By default one processor is left idle.
    maxWorkers: "100%",
    setupFiles: ["test/setup.ts"],
    // Only to end what hangs: on a machine busy with other work a test of seconds may take a minute.
    testTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
  },
});
