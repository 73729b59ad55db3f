import { readFileSync } from "node:fs";
import type { Job, Measurement } from "./cases.ts";

/**
 * Runs `step` until its warm-up is over (once at least), then times it; the last value goes into the result. `begin` is when the
 * engine was started (performance.now()), for the time of the first call. The peak is that of the whole process, so each
 * measurement needs a process of its own.
 */
export async function measure(
  job: Pick<Job, "warmup" | "reps">,
  begin: number,
  step: () => number | Promise<number>,
): Promise<Pick<Measurement, "ms" | "firstMs" | "value" | "peakBytes" | "otherCores">> {
  await step();
  const firstMs = performance.now() - begin;
  for (let i = 1; i < job.warmup; i++) await step();
  const ms: number[] = [];
  let value = Number.NaN;
  const others = watchOthers();
  for (let i = 0; i < job.reps; i++) {
    const start = performance.now();
    value = await step();
    ms.push(performance.now() - start);
  }
  const otherCores = others();
  // KiB on every system.
  return { ms, firstMs, value, peakBytes: process.resourceUsage().maxRSS * 1024, otherCores };
}

/** From this call to that of its result: cores that other processes kept busy; null where the system or a short time cannot tell. */
export function watchOthers(): () => number | null {
  const before = { busy: busySeconds(), own: ownSeconds(), wall: performance.now() };
  return () => {
    const busy = busySeconds();
    const wall = (performance.now() - before.wall) / 1000;
    // The machine's clock ticks 100 times a second: too coarse for short runs.
    if (busy === null || before.busy === null || wall <= 0.3) return null;
    return Math.max(0, (busy - before.busy - (ownSeconds() - before.own)) / wall);
  };
}

/** CPU seconds that all processes of the machine have used so far; null where /proc/stat is missing. */
function busySeconds(): number | null {
  try {
    const ticks = readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/).slice(1, 9).map(Number);
    const idle = ticks[3] + ticks[4];
    return (ticks.reduce((a, b) => a + b) - idle) / 100; // USER_HZ is 100 on Linux
  } catch {
    return null;
  }
}

function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
