import { el } from "../shared/dom.ts";
import { pickFiles } from "../shared/open-files.ts";
import type { Actions } from "./actions.ts";
import type { Store } from "./state.ts";

/** What scan is open, and ways to open another one. */
export function scanCard(store: Store, actions: Actions): HTMLElement {
  const name = el("strong", { className: "cut" });
  const format = el("span", { className: "soft small" });
  const facts = el("p", { className: "soft small number" });
  const notes = el("p", { className: "small", aria: { role: "status" } });
  const channel = el("select", { aria: { label: "Channel that is shown" } });
  channel.addEventListener("change", () => store.set({ channel: channel.selectedIndex }));
  const card = el(
    "section",
    { className: "card", aria: { label: "Scan" } },
    el("div", { className: "row spread" }, el("h2", {}, "Scan"), openButtons(actions, true)),
    el("div", {}, el("div", { className: "row spread name" }, name, format), facts, notes),
    channel,
  );
  store.watch(({ scan, opening, channel: shown }, before) => {
    card.setAttribute("aria-busy", String(opening));
    name.textContent = opening ? "Reading ..." : (scan?.scan.name ?? "None open");
    name.title = name.textContent;
    if (!scan) {
      facts.textContent = "Drop files anywhere on the page.";
      return;
    }
    const [d, h, w] = scan.canonical[0].shape;
    const size = [...scan.spacing].reverse().map((mm) => Number(mm.toFixed(2)));
    format.textContent = scan.scan.format;
    notes.textContent = opening ? "" : scan.scan.notes.join(" ");
    facts.textContent = opening ? "" : `${w} x ${h} x ${d} voxels of ${size.join(" x ")} mm`;
    if (scan !== before.scan) {
      channel.replaceChildren(...scan.canonical.map((_, c) => el("option", {}, `Channel ${c + 1}`)));
      channel.hidden = scan.canonical.length === 1;
    }
    channel.selectedIndex = shown;
  });
  channel.hidden = true;
  return card;
}

/** Buttons for files, a folder, and a made-up scan; with one word each where there is little room. */
export function openButtons(actions: Actions, small = false): HTMLElement {
  const button = (text: string, title: string, work: () => Promise<unknown>): HTMLButtonElement => {
    const words = small ? text.replace("Open ", "").replace(" scan", "") : text;
    const shown = words[0].toUpperCase() + words.slice(1);
    return el("button", { type: "button", title, aria: { label: text }, on: { click: () => void work() } }, shown);
  };
  const pick = async (folder: boolean): Promise<void> => {
    const files = await pickFiles({ folder });
    if (files.length > 0) await actions.open(files);
  };
  return el(
    "div",
    { className: small ? "row small-buttons" : "row" },
    button("Open files", "NIfTI, NRRD, MetaImage, Analyze, PNG, DICOM or a zip of them", () => pick(false)),
    button("Open folder", "A folder of DICOM files or of PNG slices", () => pick(true)),
    button("Phantom scan", "A made-up scan with its truth, to try the page with", actions.openPhantom),
  );
}
