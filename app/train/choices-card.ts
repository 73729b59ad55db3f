import type { AugmentLevel } from "../../src/dataset/augment-chain.ts";
import type { Budget } from "../../src/train/budget.ts";
import { el } from "../shared/dom.ts";
import { bytes, counted } from "../shared/format.ts";
import type { Actions } from "./actions.ts";
import { isRunning, type Store } from "./state.ts";

const nets = ["lean:4", "lean:8", "lean:16", "unet:4"];

/** A control with its name, and what belongs to it. */
function field(name: string, control: HTMLElement, ...more: (HTMLElement | string)[]): HTMLElement {
  control.setAttribute("aria-label", name);
  return el(
    "label",
    { className: "field" },
    el("span", {}, name),
    el("span", { className: "row tight" }, control, ...more),
  );
}

const option = (value: string, text: string): HTMLElement => el("option", { value }, text);

/** A number or nothing. */
const numberOf = ({ value }: HTMLInputElement): number | undefined => (value.trim() === "" ? undefined : Number(value));

/** What is trained, for how long and on what: the main choices open, the rest folded away. */
export function choicesCard(store: Store, actions: Actions): HTMLElement {
  const { choices: first } = store.get();
  const net = el("select", {}, ...nets.map((name) => option(name, name)), option("", "Other"));
  const typed = el("input", {
    type: "text",
    className: "grow",
    placeholder: "lean:12",
    aria: { label: "Name of the net" },
  });
  const amount = el("input", { type: "number", min: "0", step: "any" });
  const unit = el(
    "select",
    { aria: { label: "Unit of the budget" } },
    option("minutes", "minutes"),
    option("steps", "steps"),
  );
  const fold = el("select", { className: "grow" });
  const seed = el("input", { type: "number", min: "0", step: "1" });
  const augment = el(
    "select",
    { className: "grow" },
    ...[
      ["", "by length of run"],
      ["full", "full"],
      ["light", "light"],
      ["none", "none"],
    ].map(([value, text]) => option(value, text)),
  );
  const preset = el("select", { className: "grow" }, option("strong", "strong"), option("paper", "paper"));
  const engine = el("select", { className: "grow" }, option("wasm", "wasm (the processor)"));
  const rate = el("input", { type: "number", min: "0", step: "any", placeholder: "0.01" });
  const batch = el("input", { type: "number", min: "1", step: "1", placeholder: "by plan" });
  const patch = el("input", { type: "text", placeholder: "by plan, or 32x48x32" });
  const weights = el("input", { type: "checkbox" });
  const words = el("p", { className: "soft small number", aria: { live: "polite" } });
  const refusal = el("p", { className: "refusal small", aria: { role: "alert" } });

  net.value = first.net;
  amount.value = "minutes" in first.budget ? String(first.budget.minutes) : "";
  seed.value = String(first.seed);
  augment.value = first.augment ?? "";
  const set = (control: HTMLElement, work: () => void): void => control.addEventListener("change", work);
  const setNet = (): void => {
    typed.hidden = net.value !== "";
    if (net.value !== "") actions.choose({ net: net.value });
    else if (typed.value.trim() !== "") actions.choose({ net: typed.value.trim() });
    else typed.focus();
  };
  set(net, setNet);
  set(typed, setNet);
  const setBudget = (): void => {
    const value = Number(amount.value);
    const whole = unit.value === "steps" ? Math.round(value) : value;
    if (!(whole > 0)) {
      amount.value = String(Object.values(store.get().choices.budget)[0]);
      return;
    }
    actions.choose({ budget: { [unit.value]: whole } as Budget });
  };
  set(amount, setBudget);
  set(unit, () => {
    amount.value = unit.value === "steps" ? "500" : "2";
    setBudget();
  });
  set(fold, () => actions.choose({ fold: fold.value === "" ? null : Number(fold.value) }));
  set(seed, () => actions.choose({ seed: numberOf(seed) ?? 0 }));
  set(augment, () => actions.choose({ augment: (augment.value || undefined) as AugmentLevel | undefined }));
  set(preset, () => actions.choose({ preset: preset.value as "strong" | "paper" }));
  set(engine, () => actions.choose({ engine: engine.value as "wasm" | "webgpu" }));
  set(rate, () => actions.choose({ learningRate: numberOf(rate) }));
  set(batch, () => actions.choose({ batch: numberOf(batch) }));
  set(patch, () => actions.choose({ window: patch.value.trim() || undefined }));
  set(weights, () => actions.choose({ classWeights: weights.checked }));
  typed.hidden = true;
  void offerWebGpu(engine);

  const advanced = el(
    "details",
    {},
    el("summary", {}, "Advanced"),
    field("Seed", seed),
    field("Augment", augment),
    field("Recipe", preset),
    field("Engine", engine),
    field("Rate", rate),
    field("Batch", batch),
    field("Window", patch),
    field("Rare labels", weights, "weigh more"),
  );
  const controls = el(
    "fieldset",
    {},
    field("Net", net, typed),
    field("Budget", amount, unit),
    field("Validation", fold),
    advanced,
  );
  const card = el(
    "section",
    { className: "card", aria: { label: "Choices" } },
    el("h2", {}, "Training"),
    controls,
    words,
    refusal,
  );

  store.watch((state, before) => {
    const { cases, choices, planned, refused } = state;
    controls.disabled = isRunning(state);
    // The run and what it says then have the room.
    if (isRunning(state) && !isRunning(before)) advanced.open = false;
    if (cases !== before.cases || fold.childElementCount === 0) {
      const folds = cases?.folds;
      fold.replaceChildren(
        ...(folds?.map((count, i) => option(String(i), `fold ${i} of ${folds.length}: ${counted(count, "case")}`)) ?? [
          option("0", "a part of the cases"),
        ]),
        option("", "none: all cases train"),
      );
    }
    fold.value = choices.fold === null ? "" : String(choices.fold);
    words.hidden = !planned;
    if (planned) {
      const { parameters, window, batch: own, levels, need, training } = planned;
      words.textContent =
        `${parameters.toLocaleString("en-US")} weights on ${levels} levels, ${counted(training, "case")}; a step takes ` +
        `${counted(own, "window")} of ${window.join(" x ")}. Memory: ${bytes(need.total)}, ${bytes(need.engine)} of it for the engine.`;
    }
    const sentence = refused ?? planned?.need.refusal ?? "";
    if (refusal.textContent !== sentence) refusal.textContent = sentence;
    refusal.hidden = sentence === "";
  });
  return card;
}

/** Adds the graphics processor to the engines where the browser has one. */
async function offerWebGpu(engine: HTMLSelectElement): Promise<void> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter) engine.append(option("webgpu", "WebGPU (the graphics card)"));
}
