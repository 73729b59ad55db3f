const said = new Set<string>();

/** Says a sentence on stderr, once a process: a scan may be read several times. */
export function warnOnce(sentence: string): void {
  if (!said.has(sentence)) console.warn(sentence);
  said.add(sentence);
}
