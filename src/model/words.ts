/** A sentence with words out of a file: without control characters, which a terminal would obey, and no longer than a reader would read. */
export function printable(sentence: string): string {
  const plain = sentence.replace(/\p{Cc}/gu, "?");
  return plain.length > 500 ? `${plain.slice(0, 490)} ... .` : plain;
}

/** What stands in a file, for a sentence: as JSON, no more than its beginning. */
export function shown(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? "undefined");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
