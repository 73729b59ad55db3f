/** File name endings that lunet reads. */
export const scanExtensions = [".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".png"] as const;

/** The ending of a scan's file name, or null when lunet does not read such files. */
export function scanExtension(path: string): (typeof scanExtensions)[number] | null {
  return scanExtensions.find((extension) => path.toLowerCase().endsWith(extension)) ?? null;
}
