import type { LabelInfo } from "../dataset/types.ts";
import type { Interval } from "../evaluate/bootstrap.ts";
import type { MetricSummary, Summary } from "../evaluate/summary.ts";
import type { TestTime } from "../predict/postprocess.ts";
import type { ChosenSteps } from "./steps.ts";

/** best.json beside the folds of a configuration that was chosen. */
export const bestFileName = "best.json";
export const bestTextName = "best.txt";

export interface CandidateResult extends TestTime {
  name: string;
  /** Names of the configurations whose models are averaged. */
  configurations: string[];
  /** Of one model of each of them, together. */
  parameters: number;
  /** Mean Dice over cases by class or region, and over these; before post-processing. */
  dice: { mean: number; classes: number[] };
  /** Of the chosen candidate's mean Dice to this one's, with 95 % interval; over subjects where they are known. */
  lead: Interval;
}

/** What `lunet best` found. */
export interface BestFile extends ChosenSteps {
  version: 1;
  lunet: string;
  /** ISO 8601. */
  created: string;
  /** Name of the data set. */
  data: string;
  cases: number;
  /** Null where every case counts for itself. */
  subjects: number | null;
  folds: number;
  /** Names of what Dice is given for: classes without the background, or regions. */
  classes: string[];
  /** As in the plan. */
  labels: LabelInfo[];
  candidates: CandidateResult[];
  /** Name of the candidate. */
  chosen: string;
  /** All metrics of the chosen one after post-processing, over cases: by class, and over these. */
  metrics: { classes: Summary["classes"]; mean: MetricSummary };
}
