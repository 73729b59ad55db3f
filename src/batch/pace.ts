import { durationText } from "../train/progress.ts";

/** How fast cases end. */
export interface Pace {
  end(well: boolean): void;
  /** "2.1 scans/s, 8 min 02 s left, 3 failed"; empty before the first case has ended. */
  words(): string[];
  /** "  8 min 02 s left", or nothing at the end. */
  left(): string;
}

/** Cases of the past by which the pace is told: scans of the same kind often lie together. */
const window = 50;
/** Cases after which the start does not count any more. */
const settled = 10;

/** `now` is in ms. */
export function createPace(cases: number, now: () => number = () => performance.now()): Pace {
  const times = [now()];
  let [ended, failed] = [0, 0];
  /** Seconds a case. */
  const seconds = (): number => (times[times.length - 1] - times[0]) / 1000 / (times.length - 1);
  const left = (): string => `${durationText(seconds() * (cases - ended))} left`;
  return {
    end(well) {
      ended++;
      if (!well) failed++;
      times.push(now());
      // The first case waits for the processes to start and the net to be compiled.
      if (times.length > window + 1 || ended === settled) times.shift();
    },
    words() {
      if (ended === 0) return [];
      const each = seconds();
      const rate = each < 1 ? `${(1 / each).toFixed(1)} scans/s` : `${each.toFixed(1)} s a scan`;
      return [[rate, left(), ...(failed > 0 ? [`${failed} failed`] : [])].join(", ")];
    },
    left: () => (ended < cases ? `  ${left()}` : ""),
  };
}
