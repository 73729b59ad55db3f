import { UserError } from "../../src/util/errors.ts";
import { el, icon } from "./dom.ts";

/** At most so many stand in the page; older ones go. */
const most = 3;

const bar = el("div", { className: "messages" });

/** Shows a sentence in the corner until it is closed or newer ones push it out. Screen readers say it. */
function show(kind: "error" | "notice", text: string): void {
  if (!bar.isConnected) document.body.append(bar);
  for (const old of bar.querySelectorAll("p")) if (old.textContent === text) old.parentElement?.remove();
  const close = el(
    "button",
    { className: "plain icon", aria: { label: "Close this message" } },
    icon("M6 6l12 12M18 6L6 18"),
  );
  const role = kind === "error" ? "alert" : "status";
  const message = el("div", { className: `message ${kind}`, aria: { role } }, el("p", {}, text), close);
  close.addEventListener("click", () => message.remove());
  bar.append(message);
  while (bar.children.length > most) bar.firstElementChild?.remove();
}

export function showNotice(text: string): void {
  show("notice", text);
}

/** The sentence of what the user can mend, or of a fault of the program. */
export function showError(error: unknown): void {
  if (!isForUser(error)) console.error(error);
  show("error", isForUser(error) ? error.message : `Something went wrong in the page: ${textOf(error)}.`);
}

/** Takes away what is shown, as when a new piece of work begins. */
export function clearMessages(): void {
  bar.replaceChildren();
}

/** A mistake of the user, also one that a worker passed on (its class is lost on the way). */
function isForUser(error: unknown): error is Error {
  return error instanceof UserError || (error instanceof Error && error.name === "UserError");
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

// What nobody caught must not leave the reader waiting in vain.
addEventListener("unhandledrejection", (event) => showError(event.reason));
addEventListener("error", (event) => showError(event.error ?? event.message));
