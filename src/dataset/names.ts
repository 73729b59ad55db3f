import { scanExtension } from "../volume/extensions.ts";

/** File name without folder and scan ending: the case id, or the case id and channel suffix. */
export function stemOf(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  return name.slice(0, name.length - (scanExtension(name) ?? /\.dcm$/i.exec(name)?.[0] ?? "").length);
}

/** Splits `case_0001` into its case and channel number; undefined where there is no channel suffix. */
export function channelSuffix(stem: string): { id: string; channel: number } | undefined {
  const match = /^(.+)_(\d{4})$/.exec(stem);
  return match ? { id: match[1], channel: Number(match[2]) } : undefined;
}
