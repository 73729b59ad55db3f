import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { contentPolicy, isolationHeaders } from "./headers.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const pages = ["index.html", "train.html", "runs.html"].filter((page) => existsSync(here(page)));
const { version } = JSON.parse(readFileSync(here("../package.json"), "utf8"));

/** States the policy in the pages too, for servers that send no headers. */
const policy: Plugin = {
  name: "content-policy",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: contentPolicy },
      injectTo: "head-prepend",
    },
  ],
};

/** Tells the service worker which files the build has, and names its cache after their contents. */
const precache: Plugin = {
  name: "precache",
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") return;
      const built = Object.keys(bundle).filter((name) => name !== "sw.js" && !name.endsWith(".map"));
      const kept = readdirSync(here("public")).filter((name) => !name.endsWith(".md"));
      // Names in assets/ hold a hash of the content; pages and kept files do not.
      const contents = built.map((name) => {
        const item = bundle[name];
        return name.startsWith("assets/") ? name : item.type === "chunk" ? item.code : String(item.source);
      });
      const bytes = kept.map((name) => readFileSync(here(`public/${name}`), "latin1"));
      const key = hash([...contents, ...bytes].join("\n"));
      worker.code = worker.code
        .replace("__FILES__", JSON.stringify([...built, ...kept].sort()))
        .replace("__KEY__", key);
    },
  },
};

const codec = /^(?:\0with-wasm:)?(@cornerstonejs\/codec-[\w-]+)\/decodewasmjs$/;

/** Gives each decoder of DICOM pictures the address of its WebAssembly file, which it would look for beside the page. */
const codecs: Plugin = {
  name: "codecs",
  enforce: "pre",
  resolveId(id, importer = "") {
    // Asked for by the decoders, and used by them in Node alone.
    if ((id === "fs" || id === "path") && importer.includes("@cornerstonejs")) return "\0nothing";
    return codec.test(id) && !importer.startsWith("\0") ? `\0with-wasm:${id}` : null;
  },
  load(id) {
    if (id === "\0nothing") return "export {};";
    const name = id.startsWith("\0") ? codec.exec(id)?.[1] : undefined;
    if (!name) return null;
    return [
      `import create from "${name}/decodewasmjs";`,
      `import address from "${name}/decodewasm?url";`,
      "export default (options) => create({ ...options, locateFile: () => address });",
    ].join("\n");
  },
};

/** FNV-1a over UTF-16 units: a name, not a secret. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value >>> 0).toString(16);
}

export default defineConfig({
  root: here("."),
  base: "./",
  define: { __LUNET_VERSION__: JSON.stringify(version), __PAGES__: JSON.stringify(pages) },
  plugins: [policy, precache, codecs],
  resolve: {
    alias: [
      // The viewer's reader of remote zarr stores, never reached from files that are dropped.
      { find: "zarrita", replacement: here("shared/no-zarr.ts") },
    ],
  },
  worker: { format: "es", plugins: () => [codecs] },
  server: { headers: isolationHeaders },
  build: {
    target: "es2024",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    reportCompressedSize: false,
    rollupOptions: {
      checks: { pluginTimings: false },
      input: [...pages, "sw.ts"].map(here),
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
});
