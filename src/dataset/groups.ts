import { readFile } from "node:fs/promises";
import { fail } from "../util/errors.ts";

/** Which cases belong to one subject: a pattern with one capture group, or a table case id -> subject. */
export type Groups = RegExp | Record<string, string>;

/**
 * Reads what `--groups` names: a .json file `{"case": "subject"}`, a .csv or .tsv file with a case and its subject a line (a first
 * line whose case is "case" or "id" is a heading), or else a regular expression with one capture group for case ids.
 */
export async function parseGroups(text: string): Promise<Groups> {
  const ending = /\.(json|csv|tsv)$/i.exec(text)?.[1].toLowerCase();
  if (ending) {
    const content = await readFile(text, "utf8").catch(() =>
      fail(`Expected a table of subjects at ${text} (--groups), but it cannot be read; check the path.`),
    );
    return ending === "json" ? jsonTable(content, text) : linesTable(content, text, ending === "csv" ? "," : "\t");
  }
  let pattern: RegExp;
  try {
    pattern = new RegExp(text);
  } catch {
    return fail(
      `Expected --groups to be a .json, .csv or .tsv file or a regular expression, but "${text}" is none; an example is "^(sub-[0-9]+)".`,
    );
  }
  const captures = (new RegExp(`${text}|`).exec("")?.length ?? 1) - 1;
  if (captures !== 1) {
    fail(
      `Expected one capture group in the pattern of --groups, but "${text}" has ${captures}; put brackets around the subject, as in "^(sub-[0-9]+)".`,
    );
  }
  return pattern;
}

function jsonTable(content: string, name: string): Record<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return fail(`Expected JSON in ${name} (--groups), but it cannot be parsed; mend the file.`);
  }
  const right =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((subject) => typeof subject === "string" || typeof subject === "number");
  if (!right) fail(`Expected {"case": "subject", ...} in ${name} (--groups), but found something else; mend the file.`);
  return Object.fromEntries(Object.entries(value as object).map(([id, subject]) => [id, String(subject)]));
}

function linesTable(content: string, name: string, separator: string): Record<string, string> {
  const table: Record<string, string> = {};
  // Spreadsheets put a byte order mark first, R puts quotes around text; neither belongs to a case id.
  const lines = content.replace(/^\uFEFF/, "").split(/\r?\n/);
  lines.forEach((line, i) => {
    if (line.trim() === "") return;
    const cells = line.split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    if (cells.length < 2 || cells[0] === "" || cells[1] === "") {
      fail(
        `Expected a case and its subject on line ${i + 1} of ${name} (--groups), but found "${line}"; mend the line.`,
      );
    }
    if (i === 0 && /^(case|id)$/i.test(cells[0])) return;
    table[cells[0]] = cells[1];
  });
  return table;
}
