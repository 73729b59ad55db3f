import { voxelVolume } from "../../src/volume/affine.ts";
import { el, icon } from "../shared/dom.ts";
import { dice, ml } from "../shared/format.ts";
import { showError } from "../shared/messages.ts";
import { acceptDrops, pickFiles, saveFile } from "../shared/open-files.ts";
import type { Actions } from "./actions.ts";
import { css, differenceLegend, labelColour } from "./colours.ts";
import { diceByValue } from "./compare.ts";
import { countValues } from "./mask.ts";
import { niftiFile, segFile } from "./save.ts";
import type { Shown, State, Store } from "./state.ts";

const cube = "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5";

/** The mask: its labels with volumes, what of it is shown, comparison and saving. */
export function labelsCard(store: Store, actions: Actions): HTMLElement {
  const body = el("tbody");
  const diceHead = el("th", { className: "number" }, "Dice");
  const table = el(
    "table",
    { className: "plain labels" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", {}, "Label"),
        el("th", { className: "number" }, "Volume"),
        el("th", { className: "number" }, "Voxels"),
        diceHead,
        el("th", {}, el("span", { className: "unseen" }, "Surface")),
      ),
    ),
    body,
  );
  const card = el(
    "section",
    { className: "card", aria: { label: "Mask" } },
    el("h2", {}, "Mask"),
    opacityRow(store),
    table,
    compareRow(store, actions),
    legend(store),
    saveRow(store, actions),
  );
  acceptDrops(card, (files) => void actions.openReference(files));
  store.watch((state, before) => {
    card.hidden = !state.scan;
    table.hidden = !state.mask;
    diceHead.hidden = !state.reference;
    const changed = (["mask", "version", "reference", "hidden", "surfaces", "labels"] as const).some(
      (key) => state[key] !== before[key],
    );
    // Counting a large mask takes longer than a piece of a stroke: volumes follow at its end.
    const goesOn = state.mask?.drawing && state.mask === before.mask;
    if (!changed || !state.mask || goesOn) return;
    const focused = body.contains(document.activeElement) ? document.activeElement?.ariaLabel : null;
    body.replaceChildren(...rows(state, store, actions));
    const controls = [...body.querySelectorAll<HTMLElement>("input, button")];
    if (focused) controls.find(({ ariaLabel }) => ariaLabel === focused)?.focus();
  });
  return card;
}

function rows(state: State, store: Store, actions: Actions): HTMLElement[] {
  const { mask, labels, reference, hidden, surfaces } = state;
  if (!mask) return [];
  const counts = countValues(mask.volume.data);
  const mm3 = voxelVolume(mask.volume.affine);
  const scores = reference ? diceByValue(mask.volume.data, reference.data, labels) : null;
  return labels
    .filter(({ value }) => value !== 0)
    .map(({ value, name }, place) => {
      const shown = el("input", { type: "checkbox", checked: !hidden.has(value), aria: { label: `Show ${name}` } });
      shown.addEventListener("change", () => {
        const next = new Set(store.get().hidden);
        if (!next.delete(value)) next.add(value);
        store.set({ hidden: next });
      });
      const swatch = el("span", { className: "swatch" });
      swatch.style.background = css(labelColour(place));
      const surface = el(
        "button",
        {
          type: "button",
          className: "plain icon small",
          title: `Surface of ${name} in the 3D view`,
          disabled: counts[value] === 0,
          aria: { label: `Surface of ${name} in the 3D view`, pressed: String(surfaces.has(value)) },
          on: { click: () => void actions.toggleSurface(value) },
        },
        icon(cube),
      );
      const score = scores?.get(value);
      return el(
        "tr",
        { data: { label: name } },
        el(
          "td",
          {},
          el("label", { className: "label" }, shown, swatch, el("span", { className: "cut", title: name }, name)),
        ),
        el("td", { className: "number" }, ml(counts[value] * mm3)),
        el("td", { className: "number" }, String(counts[value])),
        score !== undefined && el("td", { className: "number" }, dice(score)),
        el("td", { className: "number" }, surface),
      );
    });
}

function opacityRow(store: Store): HTMLElement {
  const on = el("input", { type: "checkbox", id: "mask-on" });
  on.addEventListener("change", () => store.set({ maskOn: on.checked }));
  const range = el("input", {
    type: "range",
    min: "0",
    max: "100",
    step: "5",
    id: "opacity",
    aria: { label: "Opacity of the mask" },
  });
  range.addEventListener("input", () => store.set({ opacity: Number(range.value) / 100 }));
  const value = el("span", { className: "number small soft" });
  store.watch(({ opacity, maskOn }) => {
    range.value = String(Math.round(opacity * 100));
    value.textContent = `${Math.round(opacity * 100)} %`;
    on.checked = maskOn;
  });
  const label = el("label", { className: "row", htmlFor: "mask-on" }, on, "Show");
  return el("div", { className: "opacity" }, label, range, value);
}

const shownTexts: [Shown, string][] = [
  ["mask", "Mask"],
  ["reference", "Reference"],
  ["difference", "Difference"],
];

function compareRow(store: Store, actions: Actions): HTMLElement {
  const open = el(
    "button",
    { type: "button", title: "A label map of this scan, or a DICOM SEG; dropped here it does the same" },
    "Compare with ...",
  );
  open.addEventListener("click", async () => {
    const files = await pickFiles();
    if (files.length > 0) await actions.openReference(files);
  });
  const buttons = shownTexts.map(([shown, text]) =>
    el("button", { type: "button", on: { click: () => store.set({ shown, maskOn: true }) } }, text),
  );
  const group = el(
    "div",
    { className: "group", aria: { role: "group", label: "What is shown over the scan" } },
    ...buttons,
  );
  const name = el("p", { className: "small soft cut" });
  const remove = el("button", { type: "button", className: "link small" }, "remove");
  remove.addEventListener("click", () => store.set({ reference: null, shown: "mask" }));
  const named = el("div", { className: "row" }, name, remove);
  store.watch(({ shown, reference, mask }) => {
    group.hidden = named.hidden = !reference;
    open.hidden = reference !== null;
    name.textContent = reference ? `Reference: ${reference.name}` : "";
    for (const [i, [value]] of shownTexts.entries()) {
      buttons[i].setAttribute("aria-pressed", String(value === shown));
      buttons[i].disabled = value !== "reference" && !mask;
    }
  });
  return el("div", { className: "compare" }, open, group, named);
}

function legend(store: Store): HTMLElement {
  const items = differenceLegend.map(({ name, colour }) => {
    const swatch = el("span", { className: "swatch" });
    swatch.style.background = css(colour);
    return el("span", {}, swatch, ` ${name}`);
  });
  const line = el("p", { className: "legend small soft" }, ...items);
  store.watch(({ shown, reference }) => {
    line.hidden = shown !== "difference" || !reference;
  });
  return line;
}

function saveRow(store: Store, actions: Actions): HTMLElement {
  const save = (make: () => Promise<{ name: string; bytes: Uint8Array }>) => async (): Promise<void> => {
    const { version } = store.get();
    try {
      const { name, bytes } = await make();
      saveFile(name, bytes);
      store.set({ saved: version });
    } catch (error) {
      showError(error);
    }
  };
  const nifti = el("button", { type: "button" }, "Save NIfTI");
  nifti.addEventListener(
    "click",
    save(async () => niftiFile(actions.maskOnFile(), store.get().scan!.scan)),
  );
  const seg = el("button", { type: "button" }, "Save DICOM SEG");
  seg.addEventListener(
    "click",
    save(async () => {
      const { scan, mask, labels, source } = store.get();
      const choices = { algorithm: `lunet ${source}`, edited: mask?.edited ?? false };
      return segFile(actions.maskOnFile(), scan!.scan, labels, choices);
    }),
  );
  store.watch(({ mask, scan }) => {
    nifti.disabled = seg.disabled = !mask;
    seg.hidden = !scan?.scan.dicom;
  });
  return el("div", { className: "row" }, nifti, seg);
}
