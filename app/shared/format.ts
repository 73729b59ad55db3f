/** "1.24 ml", with three digits; "0 ml". */
export function ml(mm3: number): string {
  const value = mm3 / 1000;
  if (value === 0) return "0 ml";
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3)} ml`;
}

/** "340 ms", "1.3 s", "48 s", "2 min 05 s". */
export function duration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${seconds.toFixed(0)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** "812 bytes", "41 kB", "1.5 MB", "4.1 GB", in powers of ten. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} bytes`;
  const [value, unit] =
    count < 999_500 ? [count / 1e3, "kB"] : count < 999.5e6 ? [count / 1e6, "MB"] : [count / 1e9, "GB"];
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

export { counted } from "../../src/util/counted.ts";

/** "0.913". */
export function dice(value: number): string {
  return value.toFixed(3);
}
