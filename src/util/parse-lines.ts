/** The records of a text with a JSON value a line; a line that a kill cut off in the middle is left out. */
export function parseLines<T>(text: string): T[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as T];
    } catch {
      return [];
    }
  });
}
