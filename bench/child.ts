import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Job, type Measurement, netOf, type Runner } from "./cases.ts";

/** How PyTorch lays out its tensors (channels last or not), and for inference whether the traced graph is optimised for it. */
export interface TorchSettings {
  layout: "plain" | "last";
  jit?: "freeze" | "ofi";
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Without these PyTorch pays 1.1 - 2.3 times for page faults, as its buffers go back to the system at every step. */
const torchEnvironment = { MALLOC_MMAP_MAX_: "0", MALLOC_TRIM_THRESHOLD_: "1000000000000" };

/** Measures our engine or onnxruntime in a process of its own. Rejects with what the child said of its failure. */
export function runNode(runner: Exclude<Runner, "torch">, job: Job): Promise<Measurement> {
  return runChild(runner, process.execPath, [here(`measure-${runner}.ts`), JSON.stringify(job)]);
}

/** Measures PyTorch in a process of its own. */
export function runTorch(python: string, job: Job, settings: TorchSettings): Promise<Measurement> {
  const net = netOf(job);
  const { mode, dimensions, size, batch, threads, warmup, reps } = job;
  const widths = [...net.encoder.map((block) => block[0]), net.bottleneck[0]].join();
  const options = { widths, mode, dims: dimensions, size, batch, threads, warmup, reps, ...settings };
  const flags = Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]);
  return runChild("torch", python, [here("peers/torch_unet.py"), ...flags], torchEnvironment);
}

function runChild(runner: Runner, program: string, args: string[], environment = {}): Promise<Measurement> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
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
      if (code !== 0) return reject(new Error(`${runner} ended with ${signal ?? code}: ${reasonOf(errors)}`));
      const measurement = measurementOf(out);
      if (measurement) return resolve(measurement);
      const said = reasonOf(errors) || out.trim().split("\n").at(-1) || "it printed nothing";
      reject(new Error(`${runner} ended without a measurement as its last line: ${said}`));
    });
  });
}

/** The last line of a child's output as a measurement, or undefined where it is none. */
export function measurementOf(out: string): Measurement | undefined {
  try {
    const value = JSON.parse(out.trim().split("\n").at(-1) ?? "");
    return Array.isArray(value?.ms) && value.ms.length > 0 ? (value as Measurement) : undefined;
  } catch {
    return undefined;
  }
}

/** Node prints the error's line before its stack; Python prints it last. */
function reasonOf(errors: string): string {
  const lines = errors.split("\n").filter((line) => /^\w*(Error|Exception)\b.*:/.test(line.trim()));
  return (lines[0] ?? errors.trim().split("\n").at(-1) ?? "").trim();
}
