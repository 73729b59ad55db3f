import { el, icon } from "../shared/dom.ts";
import type { Actions } from "./actions.ts";
import { openButtons } from "./data-card.ts";
import type { CaseRow, CasesInfo } from "./read-cases.ts";
import type { Store } from "./state.ts";

const dropIcon = "M12 4v11M12 15l-4-4M12 15l4-4M4 18v2h16v-2";

/** The cases with what was found in them; an invitation where there are none. */
export function caseTable(store: Store, actions: Actions): HTMLElement {
  const invite = el(
    "div",
    { className: "invite" },
    icon(dropIcon),
    el("h1", {}, "Drop labelled scans here"),
    el(
      "p",
      { className: "soft" },
      "A folder with dataset.json (MSD or nnU-Net), folders of images and labels, or pairs such as a.nii.gz and a_seg.nii.gz. They stay on this machine.",
    ),
    openButtons(actions),
  );
  const table = el("div", { className: "case-rows", tabIndex: 0, aria: { label: "Table", role: "region" } });
  store.watch(({ cases }, before) => {
    invite.hidden = cases !== null;
    table.hidden = cases === null;
    if (cases && cases !== before.cases) table.replaceChildren(...content(cases));
  });
  return el("div", { className: "cases-view" }, invite, table);
}

function content({ rows, leftOut }: CasesInfo): HTMLElement[] {
  const heads = ["Case", "Voxels", "mm", "Labels", ""].map((text) => el("th", { scope: "col" }, text));
  const parts = [
    el("table", { className: "plain" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows.map(rowOf))),
  ];
  if (leftOut.length === 0) return parts;
  const items = leftOut.map(({ name, why }) => el("li", {}, el("strong", {}, name), `: ${why}`));
  const list = el("div", { className: "left-out" }, el("h2", {}, "Left out"), el("ul", {}, ...items));
  return [list, ...parts];
}

const sizes = (values: readonly number[] | null): string =>
  values
    ? [...values]
        .reverse()
        .map((value) => Number(value.toFixed(2)))
        .join(" x ")
    : "";

function rowOf({ id, shape, spacing, labels, problem, note }: CaseRow): HTMLElement {
  const found = labels.map(({ name, voxels }) => `${name} ${voxels.toLocaleString("en-US")}`).join(", ");
  return el(
    "tr",
    { className: problem ? "bad" : "" },
    el("th", { scope: "row" }, id),
    el("td", { className: "nowrap" }, sizes(shape)),
    el("td", { className: "nowrap" }, sizes(spacing)),
    el("td", {}, found),
    el("td", { className: "words" }, problem ? `Left out. ${problem}` : (note ?? "")),
  );
}
