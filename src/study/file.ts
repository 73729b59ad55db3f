import { dirname, resolve } from "node:path";
import { fail } from "../util/errors.ts";
import { readBytes } from "../util/files.ts";
import { type StudySpec, studyFromValue } from "./spec.ts";

/**
 * Reads a study from a YAML file (JSON is YAML too). The paths in it are taken from the file's own folder. UserError with the
 * line for what does not parse or does not fit.
 */
export async function readStudyFile(path: string): Promise<StudySpec> {
  const { isMap, isNode, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(new TextDecoder().decode(await readBytes(path)), {
    lineCounter: lines,
    prettyErrors: false,
  });
  const [error] = document.errors;
  if (error) {
    const { line } = lines.linePos(error.pos[0]);
    fail(`${path}, line ${line}: expected YAML, but ${error.message.replace(/\.?$/, "")}; mend the file.`);
  }
  const lineOf = (keys: readonly (string | number)[]): number | null => {
    // A missing key has no place of its own; then its parent's counts.
    for (let end = keys.length; end > 0; end--) {
      const parent = end === 1 ? document.contents : document.getIn(keys.slice(0, end - 1), true);
      const key = isMap(parent)
        ? parent.items.map((pair) => pair.key).find((k) => isScalar(k) && k.value === keys[end - 1])
        : document.getIn(keys.slice(0, end), true);
      if (isNode(key) && key.range) return lines.linePos(key.range[0]).line;
    }
    return null;
  };
  const spec = studyFromValue(document.toJS(), path, lineOf);
  for (const key of ["data", "images", "labels"] as const) {
    if (spec[key] !== undefined) spec[key] = resolve(dirname(path), spec[key]);
  }
  if (spec.groups !== undefined && /\.(json|csv|tsv)$/i.test(spec.groups)) {
    spec.groups = resolve(dirname(path), spec.groups);
  }
  return spec;
}

/** A study as YAML, to start a file of one's own from. */
export async function studyText(spec: StudySpec): Promise<string> {
  const { Document, isScalar, visit } = await import("yaml");
  const document = new Document(spec);
  visit(document, {
    Seq: (_, list) => {
      list.flow = list.items.every((item) => isScalar(item));
    },
  });
  return document.toString({ lineWidth: 120 });
}
