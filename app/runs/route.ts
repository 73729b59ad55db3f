import type { Entry } from "./records.ts";

/** What the page shows, as it stands in the address after "#". */
export interface Route {
  /** Folder of the run, cross-validation or study; null: none is chosen. */
  path: string | null;
  /** Told apart where a folder holds several. */
  kind: Entry["kind"] | null;
  tab: "curves" | "cases" | "settings" | "status" | "report";
  case: string | null;
  /** Folders of runs to compare; two or more are shown together while no path is chosen. */
  compare: string[];
}

const tabs = ["curves", "cases", "settings", "status", "report"] as const;
const kinds = ["train", "prune", "folds", "study"] as const;

export function readRoute(hash: string): Route {
  const values = new URLSearchParams(hash.replace(/^#/, ""));
  return {
    path: values.get("path"),
    kind: kinds.find((kind) => kind === values.get("kind")) ?? null,
    tab: tabs.find((tab) => tab === values.get("tab")) ?? "curves",
    case: values.get("case"),
    compare: values.getAll("compare"),
  };
}

export function writeRoute(route: Route): string {
  const values = new URLSearchParams();
  if (route.path !== null) values.set("path", route.path);
  if (route.kind !== null) values.set("kind", route.kind);
  if (route.tab !== "curves") values.set("tab", route.tab);
  if (route.case !== null) values.set("case", route.case);
  for (const path of route.compare) values.append("compare", path);
  return `#${values}`;
}
