import { el } from "../shared/dom.ts";
import { counted } from "../shared/format.ts";
import { sliceViewer } from "../shared/slices.ts";
import type { Actions } from "./actions.ts";
import type { Store } from "./state.ts";

/** Slices of a case that validates with its truth and what the best weights find. */
export function overlay(store: Store, actions: Actions): { element: HTMLElement; key(event: KeyboardEvent): boolean } {
  const viewer = sliceViewer();
  const chosen = el("select", { aria: { label: "Validation case" } });
  const words = el("span", { className: "soft small number" });
  const bar = el("div", { className: "row overlay-bar" }, el("h2", {}, "Validation case"), chosen, words);
  const none = el("p", { className: "soft none" });
  const element = el("div", { className: "overlay" }, bar, viewer.element, none);
  chosen.addEventListener("change", () => actions.show(chosen.value));
  store.watch(({ run }, before) => {
    if (run === before.run && element.dataset.ready) return;
    element.dataset.ready = "yes";
    const ids = run?.start?.validation ?? [];
    if (run?.start !== before.run?.start) chosen.replaceChildren(...ids.map((id) => el("option", { value: id }, id)));
    const finding = run?.finding ?? null;
    bar.hidden = viewer.element.hidden = ids.length === 0;
    none.hidden = ids.length > 0;
    none.textContent = run?.start ? "No case validates: all train." : "Slices of a validation case come here.";
    if (finding && finding !== before.run?.finding) {
      const labels = run!.labels.slice(1).map(({ value, name }, k) => ({ value, name, colour: k }));
      const same = before.run?.finding?.id === finding.id;
      viewer.show(finding.scene, labels, same);
      chosen.value = finding.id;
      element.dataset.step = String(finding.step);
      words.textContent =
        finding.step > 0 ? `Best weights so far, of ${counted(finding.step, "step")}` : "No weights yet";
    }
    if (!finding) viewer.clear();
  });
  const move = (by: number): void => {
    const next = chosen.selectedIndex + by;
    if (next < 0 || next >= chosen.options.length) return;
    chosen.selectedIndex = next;
    actions.show(chosen.value);
  };
  return {
    element,
    key(event) {
      if (event.key === "n" || event.key === "p") {
        move(event.key === "n" ? 1 : -1);
        return true;
      }
      return viewer.key(event);
    },
  };
}
