import { el } from "../shared/dom.ts";
import { counted } from "../shared/format.ts";
import { pickFiles } from "../shared/open-files.ts";
import type { Actions } from "./actions.ts";
import { isRunning, type Store } from "./state.ts";

/** What cases are open, and ways to open others. */
export function dataCard(store: Store, actions: Actions): HTMLElement {
  const name = el("strong", { className: "cut" });
  const facts = el("p", { className: "soft small number", aria: { live: "polite" } });
  const bar = el("progress", { aria: { label: "Cases read" } });
  const clear = el("button", { type: "button", className: "plain", on: { click: actions.clear } }, "Clear");
  const buttons = openButtons(actions, true);
  const card = el(
    "section",
    { className: "card", aria: { label: "Cases" } },
    el("div", { className: "row spread" }, el("h2", {}, "Cases"), el("div", { className: "row small-buttons" }, clear)),
    el("div", {}, name, facts),
    bar,
    buttons,
  );
  store.watch((state) => {
    const { reading, cases } = state;
    card.setAttribute("aria-busy", String(reading !== null));
    bar.hidden = !reading;
    if (reading && reading.total > 0) {
      bar.max = reading.total;
      bar.value = reading.done;
    } else bar.removeAttribute("value");
    clear.hidden = !cases && !reading;
    clear.textContent = reading ? "Cancel" : "Clear";
    clear.disabled = isRunning(state);
    for (const button of buttons.querySelectorAll("button")) button.disabled = isRunning(state) || reading !== null;
    name.textContent = reading ? "Reading ..." : (cases?.name ?? "None open");
    if (reading) facts.textContent = reading.total > 0 ? `Case ${reading.done + 1} of ${reading.total}` : "";
    else if (!cases) facts.textContent = "Drop a data set anywhere on the page.";
    else {
      const bad = cases.rows.filter(({ problem }) => problem).length;
      const left = bad > 0 ? `, ${bad} left out` : "";
      const labels = cases.labels.slice(1).map(({ name: label }) => label);
      facts.textContent = `${counted(cases.rows.length - bad, "case")}${left}; ${cases.channels.join(" + ")}; ${labels.join(", ")}`;
    }
  });
  return card;
}

/** Buttons for a folder, files, and made-up cases. */
export function openButtons(actions: Actions, small = false): HTMLElement {
  const pick = async (folder: boolean): Promise<void> => {
    const files = await pickFiles({ folder });
    if (files.length > 0) await actions.open(files);
  };
  const button = (text: string, short: string, title: string, work: () => Promise<void>): HTMLElement =>
    el(
      "button",
      { type: "button", title, aria: { label: text }, on: { click: () => void work() } },
      small ? short : text,
    );
  return el(
    "div",
    { className: small ? "row small-buttons" : "row" },
    button("Open folder", "Folder", "A data set in MSD or nnU-Net layout, or folders of images and labels", () =>
      pick(true),
    ),
    button("Open files", "Files", "Images and labels, such as a.nii.gz and a_seg.nii.gz", () => pick(false)),
    button("20 phantom cases", "20 phantoms", "Made-up scans, to try the page with", actions.openPhantoms),
  );
}
