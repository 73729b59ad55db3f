// One door for every task of a checkout: `node tools/run.mjs TASK [arguments]`, with the Node on this machine (18 or newer).
// It installs what is missing, then runs the task with the Node that package-lock.json pins: the engine's speed depends on it.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pinnedNode } from "../bin/pinned-node.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === "win32";

/** The command of an installed package, as its package.json states it. */
function toolOf(name, command = name) {
  const folder = join(root, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[command]);
}

/** Each task is a list of commands; every one is run, and the first failure decides the exit code. */
const tasks = {
  lunet: (args) => [[join(root, "bin/lunet.mjs"), ...args]],
  demo: (args) => [[join(root, "bin/lunet.mjs"), "demo", ...args]],
  test: (args) => [[toolOf("vitest"), "run", ...args]],
  bench: (args) => [[join(root, "bench/run.ts"), ...args]],
  app: (args) => [
    [toolOf("vite"), "build", join(root, "app")],
    ...(args.includes("--build") ? [] : [[join(root, "app/serve.ts")]]),
  ],
  check: () => [
    [toolOf("typescript", "tsc"), "-p", root],
    [toolOf("typescript", "tsc"), "-p", join(root, "app")],
    [toolOf("@biomejs/biome", "biome"), "check", root],
    [toolOf("knip")],
  ],
  build: () => [
    ["-e", "fs.rmSync('dist', { recursive: true, force: true })"],
    [toolOf("typescript", "tsc"), "-p", join(root, "tsconfig.build.json")],
    [toolOf("vite"), "build", "--config", join(root, "app/runs/vite.config.ts"), "--logLevel", "warn"],
  ],
};

function stop(sentence) {
  console.error(sentence);
  process.exit(1);
}

/** npm writes node_modules/.package-lock.json last, so an install that was cut off does not count. */
function isInstalled() {
  const done = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(done) || !pinnedNode(root)) return false;
  return statSync(done).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
}

function install() {
  console.error("Installing the packages that package-lock.json names (npm ci) ...");
  const own = process.env.npm_execpath; // the npm that started us, when there is one
  // Warnings are about the Node that starts this, and the pinned one runs everything.
  const ci = ["ci", "--loglevel=error"];
  const [command, args] = own?.endsWith(".js") ? [process.execPath, [own, ...ci]] : ["npm", ci];
  const shell = windows && command === "npm";
  const done = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell });
  if (done.error) stop(`npm could not be started (${done.error.message}); install Node 18 or newer with npm.`);
  if (done.status !== 0) {
    stop(
      "npm ci failed (its own message is above); it needs the npm registry once: check the connection and try again.",
    );
  }
  if (!pinnedNode(root)) {
    stop('The npm package "node" came without its program: its install script did not run; run "npm rebuild node".');
  }
}

const [major] = process.versions.node.split(".").map(Number);
if (major < 18)
  stop(`lunet's tasks need Node 18 or newer to start, and this is ${process.version}; install a newer Node.`);
const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, name ?? "")) {
  stop(`Expected a task (${Object.keys(tasks).join(", ")}) and got ${name ? `"${name}"` : "none"}.`);
}
if (!isInstalled()) install();

let status = 0;
for (const command of tasks[name](args)) {
  const done = spawnSync(pinnedNode(root), command, { cwd: name === "lunet" ? process.cwd() : root, stdio: "inherit" });
  if (done.error) stop(`The pinned Node could not be started (${done.error.message}); run "npm rebuild node".`);
  if (done.signal) process.kill(process.pid, done.signal);
  status ||= done.status ?? 1;
}
process.exit(status);
