import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { saveModel } from "../src/model/files.ts";
import { sampleModel } from "../src/model/sample.ts";
import { flat } from "../src/net/make.ts";
import { readVolume, writeVolume } from "../src/volume/files.ts";

/** What `npm pack` may weigh, packed and unpacked, the page of `lunet serve` in it, and the browser part as one file before it is made small. */
const budget = { packed: 750_000, unpacked: 2_500_000, viewer: 150_000, browser: 600_000 };

const root = fileURLToPath(new URL("../", import.meta.url));
const modules = join(root, "node_modules");
const { version, dependencies, files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = mkdtempSync(join(tmpdir(), "lunet-pack-"));
const [source, app] = [join(folder, "package"), join(folder, "app")];
const slow = 600_000; // other programs are started, on machines that are busy
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a program to its end and gives what it printed; it must succeed. */
function run(program: string, args: string[], cwd: string): string {
  const done = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: slow / 2,
    shell: process.platform === "win32" && program === "npm",
  });
  expect([done.error, done.status], `${args.join(" ")}\n${done.stdout}${done.stderr}`).toEqual([undefined, 0]);
  return done.stdout;
}
const node = (args: string[], cwd = app): string => run(process.execPath, args, cwd);
const tsc = (...args: string[]): string => node([join(modules, "typescript/bin/tsc"), ...args]);

/** npm without a network, a store or scripts. */
function npm(args: string[], cwd: string): string {
  const own = process.env.npm_execpath;
  const flags = ["--offline", "--ignore-scripts", "--cache", join(folder, "cache")];
  return own?.endsWith(".js") ? node([own, ...args, ...flags], cwd) : run("npm", [...args, ...flags], cwd);
}

let packed: { size: number; unpackedSize: number; files: { path: string; size: number }[] };
beforeAll(async () => {
  mkdirSync(app);
  tsc("-p", join(root, "tsconfig.build.json"), "--outDir", join(source, "dist"));
  const viewer = ["--config", join(root, "app/runs/vite.config.ts"), "--outDir", join(source, "dist/viewer")];
  node([join(modules, "vite/bin/vite.js"), "build", ...viewer, "--logLevel", "error"], root);
  for (const name of ["package.json", "README.md", "LICENSE", ...files]) {
    if (name !== "dist") cpSync(join(root, name), join(source, name), { recursive: true });
  }
  [packed] = JSON.parse(npm(["pack", "--json"], source));
  // Its dependencies are those of the checkout, so that no registry is needed.
  const links = Object.keys(dependencies).map((name) => [name, `file:${join(modules, name)}`]);
  const wanted = { lunet: `file:${join(source, `lunet-${version}.tgz`)}`, ...Object.fromEntries(links) };
  writeFileSync(join(app, "package.json"), JSON.stringify({ private: true, type: "module", dependencies: wanted }));
  npm(["install", "--omit=optional", "--no-audit", "--no-fund"], app);

  const model = sampleModel(flat(2, { levels: 2, convs: 1, inputChannels: 1, outputChannels: 2 }));
  await saveModel(join(app, "runs/lean8/model.safetensors"), model);
  const affine = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const data = Float32Array.from({ length: 320 }, (_, i) => (i * 37) % 101);
  await writeVolume(join(app, "scan.nii.gz"), { data, shape: [4, 8, 10], affine });
}, slow);

test("the package holds the program without tests, and is small", () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      "bin/lunet.mjs",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/browser.js",
      "dist/viewer/runs.html",
    ]),
  );
  expect(paths.filter((path) => /\.test\.|\.fixture\.|^src|conformance/.test(path))).toEqual([]);
  expect(packed.size).toBeLessThan(budget.packed);
  expect(packed.unpackedSize).toBeLessThan(budget.unpacked);
  const page = packed.files.filter(({ path }) => path.startsWith("dist/viewer/"));
  expect(page.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(budget.viewer);
});

test(
  "the command of the package serves the run viewer",
  async () => {
    mkdirSync(join(app, "seen"));
    writeFileSync(join(app, "seen/run.json"), "{}");
    const cli = join(app, "node_modules/lunet/bin/lunet.mjs");
    const child = spawn(process.execPath, [cli, "serve", "seen", "--port", "0", "--json"], { cwd: app, stdio: "pipe" });
    try {
      const [line] = await once(createInterface(child.stdout), "line");
      const { url } = JSON.parse(line);
      const page = await (await fetch(url)).text();
      const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(page)!;
      expect((await fetch(url + script)).headers.get("content-type")).toContain("text/javascript");
    } finally {
      child.kill();
    }
  },
  slow,
);

test(
  "the library example of the README has right types and segments a scan",
  async () => {
    const [, example] = /As a library:\n\n```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))!;
    writeFileSync(join(app, "example.mts"), example);
    writeFileSync(join(app, "wrong.mts"), example.replace("{ backend }", "{ backend: 1 }"));
    const flags = [
      "--noEmit",
      "--strict",
      "--target",
      "es2024",
      "--lib",
      "es2024,esnext.typedarrays,dom",
      "--types",
      "node",
    ];
    flags.push("--typeRoots", join(modules, "@types"), "--module", "nodenext");
    tsc(...flags, "example.mts");
    expect(() => tsc(...flags, "wrong.mts")).toThrow("TS2322"); // types are really there
    writeFileSync(join(app, "example.mjs"), example);
    node(["example.mjs"]);
    const labels = await readVolume(join(app, "labels.nii.gz"));
    expect(labels.shape).toEqual([4, 8, 10]);
  },
  slow,
);

test(
  "the command of the package predicts the same",
  async () => {
    const cli = join(app, "node_modules/lunet/bin/lunet.mjs");
    expect(node([cli, "--version"])).toContain(version);
    node([cli, "predict", "scan.nii.gz", "--model", "runs/lean8", "--out", "out"]);
    const [mine, theirs] = [join(app, "out/scan.nii.gz"), join(app, "labels.nii.gz")];
    expect((await readVolume(mine)).data).toEqual((await readVolume(theirs)).data);
    // onnxruntime-node is an optional peer: without it, files are exported all the same.
    const said = node([cli, "export", "runs/lean8", "--onnx", "lean8.onnx"]);
    expect(said).toContain("\nNot checked: onnxruntime-node is not installed; with it (npm install onnxruntime-node)");
  },
  slow,
);

/** A Node on this machine of another version than the one that runs the tests: LUNET_TEST_NODE, else one in PATH. */
const otherNode = [
  process.env.LUNET_TEST_NODE,
  ...(process.env.PATH ?? "")
    .split(delimiter)
    .map((place) => join(place, process.platform === "win32" ? "node.exe" : "node")),
].find((path) => path && existsSync(path) && majorOf(path) !== majorOf(process.execPath));

function majorOf(path: string): string {
  return spawnSync(path, ["-p", "process.versions.node.split('.')[0]"], { encoding: "utf8" }).stdout?.trim();
}

test.skipIf(!otherNode)(
  `on another Node the example and the command do the same, or say which Node they need${otherNode ? "" : " (skipped: no Node of another version in PATH or LUNET_TEST_NODE)"}`,
  async () => {
    const start = (args: string[]) => spawnSync(otherNode!, args, { cwd: app, encoding: "utf8", timeout: slow / 2 });
    const version = start(["-p", "process.versions.node"]).stdout.trim();
    const [major, minor] = version.split(".").map(Number);
    const cli = join(app, "node_modules/lunet/bin/lunet.mjs");
    const out = join(app, "other.nii.gz");
    writeFileSync(
      join(app, "other.mjs"),
      readFileSync(join(app, "example.mjs"), "utf8").replace("labels.nii", "other.nii"),
    );
    const runs = [["other.mjs"], [cli, "predict", "scan.nii.gz", "--model", "runs/lean8", "--out", "other"]].map(start);
    if (major < 22 || (major === 22 && minor < 3)) {
      // Where a library stands on functions that came later, the engine says what is wrong before they are called.
      for (const { status, stderr } of runs) {
        expect(status).toBe(1);
        expect(stderr).toContain(`lunet needs Node 22.3 or newer, and this is ${version}; install a newer Node`);
      }
      expect(runs[1].stderr).not.toContain("at ");
      return;
    }
    const note = `Note: Node ${version} runs lunet's engine about three times slower than Node 24 or newer.\n`;
    for (const { status, stderr } of runs) {
      expect([status, stderr.split(note).length - 1], stderr).toEqual([0, major < 24 ? 1 : 0]);
    }
    const labels = (await readVolume(join(app, "labels.nii.gz"))).data;
    for (const path of [out, join(app, "other/scan.nii.gz")]) expect((await readVolume(path)).data).toEqual(labels);
  },
  slow,
);

/** The bundler that the tests' own tool brings along. */
const rolldown = join(modules, "rolldown/bin/cli.mjs");

test.skipIf(!existsSync(rolldown))(
  "the part for browsers is bundled without a module of Node, and without what is not used",
  () => {
    const bundle = (name: string, code: string): string => {
      writeFileSync(join(app, `${name}.mjs`), code);
      node([rolldown, `${name}.mjs`, "--platform", "browser", "--format", "esm", "--dir", name]);
      const out = join(app, name, `${name}.js`);
      return readFileSync(out, "utf8");
    };
    const all = bundle("page", 'export { loadModel, segment, createBackend, readNifti } from "lunet";\n');
    expect(all).not.toMatch(/(?:from|import|import\(|require\()\s*["'](?:node:|fs|path|os|worker_threads)/);
    expect(all.length).toBeLessThan(budget.browser);
    const small = bundle("small", 'export { UserError } from "lunet/browser";\n');
    expect(small.length).toBeLessThan(2_000);
  },
  slow,
);
