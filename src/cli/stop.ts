/** What the shell sees after Ctrl-C. */
export const interruptedCode = 130;

/**
 * Runs work that can be stopped and resumed. Ctrl-C gives the signal; it ends the program at once as long as `onBegin` was not
 * called, since nothing is there to keep, and when it comes again.
 */
export async function untilStopped<T>(
  work: (watch: { signal: AbortSignal; onBegin: () => void }) => Promise<T>,
): Promise<T> {
  const stopper = new AbortController();
  let begun = false;
  let asked = Number.POSITIVE_INFINITY;
  const stop = (): void => {
    const now = performance.now();
    // A terminal and a parent process may both pass on one Ctrl-C, so a second one counts only after a second.
    if (!begun || now - asked > 1000) process.exit(interruptedCode);
    asked = Math.min(asked, now);
    stopper.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    const onBegin = (): void => {
      begun = true;
    };
    return await work({ signal: stopper.signal, onBegin });
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
