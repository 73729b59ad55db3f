import { caseName, type Job, type Measurement, type Runner } from "./cases.ts";
import { runNode, runTorch, type TorchSettings } from "./child.ts";

/** Everything measured for one case: the child processes of each runner, or why one failed. */
export interface CaseResult {
  job: Job;
  runs: Partial<Record<Runner, Measurement[]>>;
  failures: Partial<Record<Runner, string>>;
  /** The fastest of PyTorch's settings for this case. */
  torchSettings?: TorchSettings;
}

export interface Peers {
  /** Processes of each runner. */
  rounds: number;
  onnxruntime: boolean;
  /** A Python with PyTorch. */
  python?: string;
  /** Try PyTorch's settings first; else the usually fastest are taken. */
  tune: boolean;
}

/** The runners take turns, so that a change of the machine's speed meets all of them. */
export async function measureCase(job: Job, peers: Peers): Promise<CaseResult> {
  const { python, rounds } = peers;
  const runners: Runner[] = ["lunet"];
  // onnxruntime has no training operators.
  if (peers.onnxruntime && job.mode === "infer") runners.push("onnxruntime");
  if (python) runners.push("torch");
  const result: CaseResult = { job, runs: {}, failures: {} };
  const attempt = async (runner: Runner, what: string, work: () => Promise<void>): Promise<void> => {
    if (runner in result.failures) return;
    process.stderr.write(`${caseName(job)} on ${job.threads}: ${runner}, ${what}\n`);
    try {
      await work();
    } catch (error) {
      result.failures[runner] = (error as Error).message;
    }
  };
  if (python) {
    result.torchSettings = torchSettings(job)[0];
    if (peers.tune) {
      await attempt("torch", "settings", async () => {
        result.torchSettings = await fastestSettings(python, job);
      });
    }
  }
  for (let round = 1; round <= rounds; round++) {
    for (const runner of runners) {
      await attempt(runner, `round ${round} of ${rounds}`, async () => {
        const run =
          runner === "torch" ? await runTorch(python!, job, result.torchSettings!) : await runNode(runner, job);
        result.runs[runner] = [...(result.runs[runner] ?? []), run];
      });
    }
  }
  return result;
}

/** All that may be the fastest, the usual winner first: in 2D optimize_for_inference slows the graph down. */
function torchSettings({ mode, dimensions }: Job): TorchSettings[] {
  const layouts = ["last", "plain"] as const;
  if (mode === "train") return layouts.map((layout) => ({ layout }));
  const jits = dimensions === 2 ? (["freeze", "ofi"] as const) : (["ofi", "freeze"] as const);
  return layouts.flatMap((layout) => jits.map((jit) => ({ layout, jit })));
}

async function fastestSettings(python: string, job: Job): Promise<TorchSettings> {
  let [best, time] = [torchSettings(job)[0], Number.POSITIVE_INFINITY];
  for (const settings of torchSettings(job)) {
    const { ms } = await runTorch(python, { ...job, warmup: 2, reps: 3 }, settings);
    // The shortest of few: a disturbance only ever adds.
    if (Math.min(...ms) < time) [best, time] = [settings, Math.min(...ms)];
  }
  return best;
}
