import "./segment.css";
import { byId, el } from "../shared/dom.ts";
import { acceptDrops } from "../shared/open-files.ts";
import { startShell } from "../shared/shell.ts";
import { createActions } from "./actions.ts";
import { listenForKeys } from "./keys.ts";
import { labelsCard } from "./labels-card.ts";
import { modelCard } from "./model-card.ts";
import { runCard } from "./run-card.ts";
import { scanCard } from "./scan-card.ts";
import { stage } from "./stage.ts";
import { createSegmentStore, hasUnsaved } from "./state.ts";
import { toolBar } from "./tools.ts";

startShell("segment");
const store = createSegmentStore();
const actions = createActions(store);
const pictures = stage(store, actions);
byId("page").append(
  el("div", { className: "left" }, toolBar(store, actions), pictures.element),
  el(
    "div",
    { className: "side" },
    scanCard(store, actions),
    modelCard(store, actions),
    runCard(store, actions),
    labelsCard(store, actions),
  ),
);
acceptDrops(document.body, (files) => void actions.open(files));
listenForKeys(store, actions, pictures.step);
addEventListener("beforeunload", (event) => {
  if (hasUnsaved(store.get())) event.preventDefault();
});
// The training page opens this one with the model that it left.
void (location.hash === "#trained" ? actions.useTrained() : actions.useBuiltIn());
