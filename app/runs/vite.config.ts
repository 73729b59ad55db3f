import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Of the app's fixed files this page needs one. */
const pageIcon: Plugin = {
  name: "page-icon",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "icon.svg", source: readFileSync(here("../public/icon.svg"), "utf8") });
  },
};

/** The runs page alone, as the npm package brings it and `lunet serve` serves it; that server sends the policy as a header. */
export default defineConfig({
  root: here(".."),
  base: "./",
  publicDir: false,
  plugins: [pageIcon],
  define: { __PAGES__: JSON.stringify(["runs.html"]), __SERVED__: "true" },
  worker: { format: "es" },
  build: {
    target: "es2024",
    outDir: here("../../dist/viewer"),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: { input: here("../runs.html") },
  },
});
