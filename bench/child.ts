import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Job, type Measurement, netOf, type Runner } from "./cases.ts";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Without these PyTorch pays 1.1 - 2.3 times for page faults, as its buffers go back to the system at every step. */
const torchEnvironment = { MALLOC_MMAP_MAX_: "0", MALLOC_TRIM_THRESHOLD_: "1000000000000" };

/** Measures one job in a process of its own. Rejects with the last line of what the child wrote to stderr. */
export function runChild(runner: Runner, job: Job, python: string): Promise<Measurement> {
  const [program, args] =
    runner === "torch" ? [python, torchArguments(job)] : [process.execPath, nodeArguments(runner, job)];
  const env = { ...process.env, ...(runner === "torch" ? torchEnvironment : {}) };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let [out, errors] = ["", ""];
    child.stdout.on("data", (part) => {
      out += part;
    });
    child.stderr.on("data", (part) => {
      errors += part;
    });
    child.on("error", (error) => reject(new Error(`${runner} did not start: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(JSON.parse(out.trim().split("\n").at(-1) ?? "") as Measurement);
      reject(new Error(`${runner} ended with ${signal ?? code}: ${reasonOf(errors)}`));
    });
  });
}

/** Node prints the error's line before its stack; Python prints it last. */
function reasonOf(errors: string): string {
  const lines = errors.split("\n").filter((line) => /^\w*(Error|Exception)\b.*:/.test(line.trim()));
  return (lines[0] ?? errors.trim().split("\n").at(-1) ?? "").trim();
}

function nodeArguments(runner: Runner, job: Job): string[] {
  return [here(`measure-${runner}.ts`), JSON.stringify(job)];
}

function torchArguments(job: Job): string[] {
  const net = netOf(job);
  const widths = [...net.encoder.map((block) => block[0]), net.bottleneck[0]];
  const options = { widths: widths.join(), mode: job.mode, size: job.size, batch: job.batch, threads: job.threads };
  const times = { warmup: job.warmup, reps: job.reps };
  const settings = { layout: "last", jit: "ofi" };
  const flags = Object.entries({ ...options, ...times, ...settings }).flatMap(([key, value]) => [
    `--${key}`,
    `${value}`,
  ]);
  return [here("peers/torch_unet.py"), ...flags];
}
