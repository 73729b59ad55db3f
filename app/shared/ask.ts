import { el } from "./dom.ts";

/** Asks in a dialog whether to go on; `yes` is what the button for it says. */
export function askSure(question: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    let sure = false;
    const dialog = el("dialog", { aria: { labelledby: "sure-title" } });
    const go = el("button", { type: "button", className: "main" }, yes);
    go.addEventListener("click", () => {
      sure = true;
      dialog.close();
    });
    const back = el("button", { type: "button", on: { click: () => dialog.close() } }, "Go back");
    dialog.append(el("h2", { id: "sure-title" }, question), el("div", { className: "row" }, go, back));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(sure);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
