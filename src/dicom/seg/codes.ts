import * as v from "valibot";
import { fail } from "../../util/errors.ts";

/** A coded term (PS3.3, 8.1): value, scheme and meaning, such as 10200004, SCT, "Liver". */
export interface Code {
  value: string;
  scheme: string;
  meaning: string;
}

/** How a label is described in a segmentation. */
export interface SegmentTerms {
  /** Segmented Property Category, of PS3.16 CID 7150. */
  category: Code;
  /** Segmented Property Type. */
  type: Code;
  /** Red, green, blue (sRGB, 0 to 255); by default a colour by the label's place in the list. */
  colour?: [number, number, number];
}

const sct = (value: string, meaning: string): Code => ({ value, scheme: "SCT", meaning });
/** The code of this category in the edition of 2019 and later; 123037004, "Body structure", of older files means the same. */
const anatomy = sct("91723000", "Anatomical Structure");
const abnormal = sct("49755003", "Morphologically Abnormal Structure");

/** What is written for names that are not known. */
const generic: SegmentTerms = { category: anatomy, type: sct("85756007", "Tissue") };

/** SNOMED CT codes of common names: anatomy of PS3.16 CID 4030, 4031 and 6204, lesions of CID 7159. */
export const known: Record<string, SegmentTerms> = {
  ...terms(anatomy, [
    ["10200004", "Liver"],
    ["78961009", "Spleen"],
    ["15776009", "Pancreas"],
    ["64033007", "Kidney"],
    ["23451007", "Adrenal gland"],
    ["80891009", "Heart"],
    ["39607008", "Lung"],
    ["44567001", "Trachea"],
    ["12738006", "Brain"],
    ["41216001", "Prostate"],
    ["89837001", "Bladder"],
    ["35039007", "Uterus"],
    ["69695003", "Stomach"],
    ["38848004", "Duodenum"],
    ["71854001", "Colon"],
    ["34402009", "Rectum"],
    ["15825003", "Aorta"],
    ["64131007", "Inferior vena cava"],
    ["28231008", "Gallbladder"],
    ["32849002", "Esophagus"],
  ]),
  ...terms(abnormal, [
    ["52988006", "Lesion"],
    ["4147007", "Mass"],
    ["27925004", "Nodule"],
    ["367643001", "Cyst"],
    ["79654002", "Edema"],
    ["50960005", "Hemorrhage"],
    ["6574001", "Necrosis"],
    ["108369006", "Neoplasm"],
  ]),
};
const otherNames = {
  tumor: "neoplasm",
  tumour: "neoplasm",
  oedema: "edema",
  haemorrhage: "hemorrhage",
  oesophagus: "esophagus",
};
for (const [name, meaning] of Object.entries(otherNames)) known[name] = known[meaning];

function terms(category: Code, types: [string, string][]): Record<string, SegmentTerms> {
  return Object.fromEntries(
    types.map(([value, meaning]) => [meaning.toLowerCase(), { category, type: sct(value, meaning) }]),
  );
}

/** Terms by label name, where a user gives some. */
export type TermTable = Record<string, Partial<SegmentTerms>>;

/** The user's terms of a label, else those of a common name (the whole name, in any case), else "Anatomical Structure", "Tissue". */
export function termsOf(name: string, table: TermTable = {}): SegmentTerms {
  const key = name.trim().toLowerCase();
  return { ...(Object.hasOwn(known, key) ? known[key] : generic), ...(Object.hasOwn(table, name) ? table[name] : {}) };
}

const text = (most: number) =>
  v.pipe(v.string(), v.trim(), v.nonEmpty(), v.maxLength(most), v.regex(/^[^\\\p{Cc}]*$/u, "no backslash"));
const code = v.strictObject({ value: text(16), scheme: text(16), meaning: text(64) });
const byte = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255));
const tableSchema = v.record(
  v.string(),
  v.partial(v.strictObject({ category: code, type: code, colour: v.tuple([byte, byte, byte]) })),
);

/** Checks a table read from `path`; every name must be one of `names`. Throws a UserError that names what is wrong. */
export function parseTerms(value: unknown, names: readonly string[], path: string): TermTable {
  const result = v.safeParse(tableSchema, value);
  if (!result.success) {
    const [issue] = result.issues;
    fail(
      `${path}: ${v.getDotPath(issue) ?? "the file"}: ${issue.message}; expected label names, each with category and type ` +
        '{"value", "scheme", "meaning"} or colour [red, green, blue].',
    );
  }
  const unknown = Object.keys(result.output).find((name) => !names.includes(name));
  if (unknown !== undefined) fail(`${path}: "${unknown}" is no label of the model; expected ${names.join(", ")}.`);
  return result.output;
}

/** Recommended Display CIELab Value (PS3.3, C.10.7.1.1): L* 0 to 100, a* and b* -128 to 127, each over 0 to 65535. */
export function cieLab(place: number, colour?: SegmentTerms["colour"]): number[] {
  // Hues a golden angle apart stay distinct however many there are.
  const hue = place * Math.PI * (3 - Math.sqrt(5));
  const [l, a, b] = colour ? labOf(colour) : [65, 60 * Math.cos(hue), 60 * Math.sin(hue)];
  return [(l / 100) * 65535, ((a + 128) / 255) * 65535, ((b + 128) / 255) * 65535].map((value) =>
    Math.round(Math.min(65535, Math.max(0, value))),
  );
}

/** Rows of the matrix from linear sRGB to CIE XYZ under D50 (Bradford), the white point of the profile connection space. */
const toXyz = [
  [0.4360747, 0.3850649, 0.1430804],
  [0.2225045, 0.7168786, 0.0606169],
  [0.0139322, 0.0971045, 0.7141733],
];

function labOf(colour: readonly number[]): number[] {
  const linear = colour.map((c) => (c <= 10.31475 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const [x, y, z] = toXyz.map((row) => {
    const white = row[0] + row[1] + row[2];
    const t = row.reduce((sum, weight, i) => sum + weight * linear[i], 0) / white;
    return t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
