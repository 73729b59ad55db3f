import { countParameters } from "../../src/net/count.ts";
import { el, icon } from "../shared/dom.ts";
import { bytes } from "../shared/format.ts";
import { pickFiles } from "../shared/open-files.ts";
import type { Actions } from "./actions.ts";
import type { ModelFile, Store } from "./state.ts";

const cross = "M7 7l10 10M17 7L7 17";

/** The models that segment; several vote together. */
export function modelCard(store: Store, actions: Actions): HTMLElement {
  const list = el("ul", { className: "models" });
  const words = el("p", { className: "soft small" });
  const open = el(
    "button",
    { type: "button", title: "model.safetensors of a training run; several vote together" },
    "Open model",
  );
  open.addEventListener("click", async () => {
    const files = await pickFiles({ accept: ".safetensors" });
    if (files.length > 0) await actions.open(files);
  });
  const back = el(
    "button",
    { type: "button", className: "plain", on: { click: () => void actions.useBuiltIn() } },
    "Built-in",
  );
  const card = el(
    "section",
    { className: "card", aria: { label: "Model" } },
    el(
      "div",
      { className: "row spread" },
      el("h2", {}, "Model"),
      el("div", { className: "row small-buttons" }, back, open),
    ),
    el("div", {}, list, words),
  );
  store.watch(({ models }, before) => {
    back.hidden = models.length === 0 || models[0].builtIn === true;
    if (models === before.models && list.childElementCount > 0) return;
    list.replaceChildren(...models.map((model) => row(model, actions)));
    if (models.length === 0) {
      words.textContent = "Loading ...";
      return;
    }
    const [{ model }] = models;
    const names = model.plan.labels.filter(({ value }) => value !== 0).map(({ name }) => name);
    const channels = model.plan.channels.map(({ name }) => name).join(" + ");
    words.textContent = `${models.length > 1 ? `Ensemble of ${models.length}. ` : ""}Finds ${names.join(", ")} in ${channels}.`;
  });
  return card;
}

function row(file: ModelFile, actions: Actions): HTMLElement {
  const { parameters } = countParameters(file.model.net);
  const count = parameters < 1e6 ? `${Math.round(parameters / 1000)} k` : `${(parameters / 1e6).toFixed(1)} M`;
  const remove = el(
    "button",
    {
      type: "button",
      className: "plain icon",
      title: `Take ${file.name} out`,
      aria: { label: `Take ${file.name} out` },
    },
    icon(cross),
  );
  remove.addEventListener("click", () => void actions.removeModel(file));
  return el(
    "li",
    {},
    el("span", { className: "grow cut", title: file.name }, el("strong", {}, file.name)),
    el(
      "span",
      { className: "soft small number" },
      `${file.builtIn ? "built in, " : ""}${count} weights, ${bytes(file.bytes.length)}`,
    ),
    !file.builtIn && remove,
  );
}
