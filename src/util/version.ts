const version = "0.1.0";

/** The version of this package; a test holds it against package.json, which pages do not have. */
export function lunetVersion(): string {
  return version;
}
