import { join } from "node:path";
import { writeFileAtomic } from "../util/files.ts";
import { answerClaims, marginOf, referenceArm, referenceComparisons } from "./claims.ts";
import { structures } from "./claims-structure.ts";
import type { Claim } from "./claims-verdict.ts";
import { channelFigure, levelFigure } from "./figures-channels.ts";
import { casesFigure, skipsFigure } from "./figures-curves.ts";
import { diceFigure } from "./figures-dice.ts";
import { type ForestBlock, forestFigure } from "./figures-differences.ts";
import { drawFigures, type Figure } from "./figures-render.ts";
import { armsCsv, casesCsv, sizesCsv } from "./report-csv.ts";
import { levelRows } from "./report-levels.ts";
import { loadStudy, type StudyData } from "./report-load.ts";
import { type ReportContent, reportPage } from "./report-page.ts";
import { armRows } from "./report-rows.ts";

/**
 * Writes the report of a study folder into it: `report.html` (one page that needs nothing else), `report.json`, `report.csv`,
 * `report-sizes.csv`, `report-cases.csv`, and each figure as `figures/NAME.svg` and `.png`. Runs that failed or have not
 * finished are named in it. Gives the path of the page, and what to install where figures are missing. UserError where the folder is not
 * a study or a file is not as it should be.
 */
export async function writeReport(folder: string): Promise<{ page: string; missing: string | null }> {
  const data = await loadStudy(folder);
  const content = await reportContent(data);
  const write = (name: string, text: string | Uint8Array) => writeFileAtomic(join(folder, name), text);
  for (const { figure, svg, png } of content.drawings) {
    await write(`figures/${figure.name}.svg`, `${svg}\n`);
    if (png) await write(`figures/${figure.name}.png`, png);
  }
  await write("report.json", `${JSON.stringify(reportJson(content), null, 1)}\n`);
  await write("report.csv", armsCsv(content.rows, content.classes));
  await write("report-sizes.csv", sizesCsv(data));
  await write("report-cases.csv", casesCsv(data));
  const page = join(folder, "report.html");
  await write("report.html", reportPage(content));
  return { page, missing: content.missing };
}

/** All that a report says, computed and drawn. */
export async function reportContent(data: StudyData): Promise<ReportContent> {
  const claims = answerClaims(data);
  const margin = marginOf(data.study);
  const reference = {
    dice: referenceComparisons(data, "dice"),
    hd95: referenceComparisons(data, "hd95"),
    nsd: referenceComparisons(data, "nsd"),
  };
  const rows = armRows(data);
  const classes = Math.max(0, ...rows.map((row) => row.classDice.length));
  const { drawings, missing } = await drawFigures(figuresOf(data, claims, reference.dice, margin));
  return {
    data,
    claims,
    rows,
    levels: levelRows(data),
    reference,
    drawings,
    missing,
    classes: Array.from({ length: classes }, (_, c) => data.study.classes?.[c] ?? `class ${c + 1}`),
    margin,
  };
}

function figuresOf(
  data: StudyData,
  claims: readonly Claim[],
  reference: ForestBlock["comparisons"],
  margin: number,
): Figure[] {
  const blocks = (id: number): ForestBlock[] =>
    claims[id - 1].parts.map((part) => ({ title: `${part.id}. ${part.statement}`, comparisons: part.comparisons }));
  const title = `All arms against the reference, ${referenceArm(data.study)?.label}`;
  return [
    diceFigure(data),
    channelFigure(data),
    levelFigure(data),
    forestFigure({
      name: "differences",
      title: "Paired differences that answer the claims",
      // Losses without skips are of another size.
      axes: [[...blocks(2), ...blocks(3)], blocks(4)],
      margin,
    }),
    skipsFigure(data),
    casesFigure(data),
    forestFigure({ name: "reference", title, axes: [[{ title: "", comparisons: reference }]], margin }),
  ].filter((figure) => figure !== null);
}

/** `report.json`: the figures of the page for programs; docs/reference.md explains the keys. */
function reportJson({ data, claims, rows, levels, reference, classes, margin, missing }: ReportContent) {
  const { study, results, failures, open } = data;
  return {
    version: 1,
    lunet: study.lunet,
    study: study.name,
    data: study.data,
    scale: study.scale,
    folds: study.folds,
    seeds: study.seeds,
    classes,
    margin,
    runs: { finished: results.length, failed: failures.length, open: open.length },
    failures: failures.map(({ config, message }) => ({ run: config.run, arm: config.arm, message })),
    claims,
    arms: rows,
    reference: { arm: referenceArm(study)?.id ?? null, ...reference },
    structures: structures(data),
    removedByLevel: levels,
    missing,
  };
}
