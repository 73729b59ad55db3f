import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, hostname, tmpdir, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Why no cluster can be made here; null where one can. */
export function noSlurmBecause(): string | null {
  const missing = ["munged", "slurmctld", "slurmd", "sbatch"].filter(
    (name) => spawnSync("which", [name], { env }).status !== 0,
  );
  if (missing.length > 0) return `${missing.join(", ")} not found (Debian packages slurm-wlm and munge)`;
  if (process.getuid?.() !== 0) return "its daemons need root";
  return null;
}

/** Debian keeps daemons in sbin. */
const env = { ...process.env, PATH: [process.env.PATH, "/usr/sbin", "/sbin"].join(delimiter) };

export interface Cluster {
  /** Environment in which Slurm's commands talk to this cluster. */
  env: Record<string, string | undefined>;
  /** Output of one of Slurm's commands. */
  ask(command: string, ...args: string[]): string;
  /** The record of jobs that have ended, a line each time one does. */
  jobRecord: string;
  stop(): Promise<void>;
}

/**
 * A cluster of one node with its own key, ports and configuration in a temporary folder. No accounting, so sacct does not work;
 * jobs that have ended stand in the record.
 */
export async function startCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "lunet-slurm-"));
  const at = (name: string): string => join(folder, name);
  for (const name of ["munge", "state", "spool"]) await mkdir(at(name), { mode: 0o700 });
  await writeFile(at("munge/key"), randomBytes(128), { mode: 0o600 });
  // The socket's folder must be open to all, the rest of it to nobody.
  await chmod(folder, 0o755);
  await mkdir(at("socket"), { mode: 0o755 });
  const name = hostname().split(".")[0];
  const [controlPort, nodePort] = [await freePort(), await freePort()];
  const config = `ClusterName=lunet
SlurmctldHost=${name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${at("socket/munge")},cred_expire=5
SlurmctldPort=${controlPort}
SlurmdPort=${nodePort}
StateSaveLocation=${at("state")}
SlurmdSpoolDir=${at("spool")}
SlurmctldPidFile=${at("slurmctld.pid")}
SlurmdPidFile=${at("slurmd.pid")}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=${at("jobs.txt")}
ReturnToService=2
KillWait=5
NodeName=${name} NodeAddr=127.0.0.1 CPUs=${Math.min(2, availableParallelism())} RealMemory=${Math.floor((0.8 * totalmem()) / 2 ** 20)} State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
  await writeFile(at("slurm.conf"), config);
  const here = { ...env, SLURM_CONF: at("slurm.conf") };
  const daemons: ChildProcess[] = [];
  const daemon = (command: string, ...args: string[]): void => {
    daemons.push(spawn(command, args, { env: here, stdio: "ignore" }));
  };
  // Not longer than 3 s: scancel may take a signal that it has sent for one that it has to send again, and does so 5 s later.
  const ask = (command: string, ...args: string[]): string =>
    spawnSync(command, args, { env: here, encoding: "utf8", timeout: 3000 }).stdout.trim();
  const stop = async (): Promise<void> => {
    for (const child of daemons.reverse()) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGTERM")) await Promise.race([gone, sleep(5000)]);
      child.kill("SIGKILL");
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  daemon(
    "munged",
    ...["--foreground", "--force", `--key-file=${at("munge/key")}`, `--socket=${at("socket/munge")}`],
    ...[`--pid-file=${at("munge/pid")}`, `--log-file=${at("munge/log")}`, `--seed-file=${at("munge/seed")}`],
  );
  await sleep(300);
  daemon("slurmctld", "-D", "-i");
  daemon("slurmd", "-D");
  const deadline = Date.now() + 30_000;
  while (ask("sinfo", "--noheader", "--format=%t") !== "idle") {
    if (Date.now() > deadline) {
      const words = `the node is not idle after 30 s: ${ask("sinfo", "--noheader", "--Node", "--long")}`;
      await stop();
      throw new Error(words);
    }
    await sleep(200);
  }
  return { env: here, ask, jobRecord: at("jobs.txt"), stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
