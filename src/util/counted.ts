/** "1 case", "2 cases"; `many` where it is not `one` with an s. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** The verb for so many. */
export const are = (n: number): string => (n === 1 ? "is" : "are");
