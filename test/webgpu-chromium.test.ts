import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterAll, expect, test } from "vitest";
import { serveFolder } from "../app/serve.ts";
import { describeInBrowser, openPage, webgpuFlags } from "./app/harness.ts";

const folder = mkdtempSync(join(tmpdir(), "lunet-webgpu-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A few of the cases that src/engine/webgpu trains in Node: what may differ in a browser is the compiler and the way to the device. */
const few = [
  "width 3",
  "kernel 1x3x3",
  "two sources 3 + 5",
  "conv-norm-act, instance, slope 0",
  "softmax 70",
  "heads at 2 levels, regions",
];
const names = process.env.LUNET_CONFORMANCE === "all" ? undefined : few;

describeInBrowser("WebGPU in Chromium, in software", () => {
  test("agrees with the reference", async () => {
    await build({
      configFile: false,
      logLevel: "error",
      build: {
        lib: {
          entry: fileURLToPath(new URL("webgpu-conformance.page.ts", import.meta.url)),
          formats: ["es"],
          fileName: () => "page.js",
        },
        outDir: folder,
      },
    });
    writeFileSync(
      join(folder, "index.html"),
      '<!doctype html><title>WebGPU</title><link rel="icon" href="data:,"><script type="module" src="page.js"></script>',
    );
    const { server, url } = await serveFolder(folder);
    try {
      const { page, errors } = await openPage({ url, flags: webgpuFlags });
      await page.waitForFunction("globalThis.runCases");
      const { ran, problems } = (await page.evaluate(`runCases(${JSON.stringify(names)})`)) as {
        ran: number;
        problems: Record<string, string[]>;
      };
      expect(problems).toEqual({});
      if (names) expect(ran).toBe(names.length);
      expect(errors).toEqual([]);
    } finally {
      server.close();
    }
  }, 1_200_000); // all cases take some minutes
});
