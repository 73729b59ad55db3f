/** Where a run tells how it goes. */
export interface Progress {
  /** A line that stays. */
  say(text: string): void;
  /** The one line that is written over; a pipe gets none of these. */
  live(text: string): void;
  /** The numbers of the live line after a step, for who draws them. */
  step?(state: LiveState): void;
  /** Clears the live line. */
  close(): void;
}

export interface ProgressStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export const silentProgress: Progress = { say: () => {}, live: () => {}, close: () => {} };

/** Milliseconds between two writes of the live line. */
const livePause = 100;

/** Progress on a stream: a live line in a terminal, plain lines in a pipe. `now` is in ms. */
export function createProgress(stream: ProgressStream, now: () => number = () => performance.now()): Progress {
  const terminal = stream.isTTY === true;
  let written = Number.NEGATIVE_INFINITY;
  let open = false;
  const clear = (): void => {
    if (open) stream.write("\r\x1b[K");
    open = false;
  };
  return {
    say: (text) => {
      clear();
      stream.write(`${text}\n`);
    },
    live: (text) => {
      if (!terminal || now() - written < livePause) return;
      written = now();
      open = true;
      stream.write(`\r${text.slice(0, (stream.columns ?? 80) - 1)}\x1b[K`);
    },
    close: clear,
  };
}

/** "45 s", "2 min 05 s", "1 h 12 min". */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (n: number): string => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** Dice values as "88.1 86.0" (percent, one decimal); a class that never occurs is "-". */
export function diceText(dice: readonly number[]): string {
  return dice.map((d) => (Number.isFinite(d) ? (100 * d).toFixed(1) : "-")).join(" ");
}

export interface LiveState {
  epoch: number;
  epochs: number;
  step: number;
  steps: number;
  loss: number;
  /** Foreground classes of the last check; null before the first one. */
  validationDice: number[] | null;
  secondsLeft: number;
}

/** The text of the live line and of the plain line of an epoch. */
export function progressText(state: LiveState): string {
  const parts = [
    `epoch ${state.epoch}/${state.epochs}`,
    `step ${state.step}/${state.steps}`,
    `loss ${state.loss.toFixed(4)}`,
  ];
  if (state.validationDice) parts.push(`validation Dice ${diceText(state.validationDice)}`);
  parts.push(`${durationText(state.secondsLeft)} left`);
  return parts.join("  ");
}
