import { fail } from "../util/errors.ts";
import { nearest } from "../util/nearest.ts";
import type { ArmSpec, StudySpec } from "./spec.ts";

export const scales = ["tiny", "small", "full"] as const;
export type Scale = (typeof scales)[number];

export function parseScale(text: string): Scale {
  const found = scales.find((scale) => scale === text);
  return (
    found ?? fail(`Unknown --scale "${text}": expected ${scales.join(", ")}; did you mean ${nearest(text, scales)}?`)
  );
}

/** What can be added to the ready study below `full`, which has it already. */
const additions = ["paper-recipe"] as const;
export type Addition = (typeof additions)[number];

export function parseAddition(text: string): Addition {
  const found = additions.find((addition) => addition === text);
  return found ?? fail(`Unknown --with "${text}": expected ${additions.join(", ")}.`);
}

const picks: ArmSpec["pick"] = ["stamp", "random-at-stamp-layer", "random-at-largest"];

/** What the arms of the paper's study ask, by claim (arXiv 2512.03834). */
const role = {
  reference: "reference",
  lean: "claim 3: fewer parameters",
  pair: "claim 3: equal parameters",
  prune: "claims 1 and 2: what pruning takes, and whether it matters which channel",
  skips: "claim 4: skips against the bottleneck's width",
  recipe: "recipe",
  data: "fewer training cases",
};

/**
 * The ready study. `tiny` shows that everything works, on few cases with nets that have hardly learned. `small` asks the paper's
 * questions within about an hour on two cores, with one seed on three folds, short training and short recovery. `full` has the paper's nets
 * and recipe over all folds and is for a cluster. `added` puts more arms at the end, and changes none of the others.
 */
export function paperStudy(
  scale: Scale,
  data: Pick<StudySpec, "data" | "images" | "labels" | "groups">,
  added: readonly Addition[] = [],
): StudySpec {
  const design = { tiny, small, full }[scale];
  if (added.length === 0) return { name: "paper", ...data, ...design };
  if (scale === "full") {
    fail(
      "Expected --with paper-recipe at --scale tiny or small: full trains by the paper's recipe anyway; leave it out.",
    );
  }
  return { name: "paper", ...data, ...design, arms: [...design.arms, ...recipeArms(scale)] };
}

/**
 * Arms that are trained as in the paper but for its size: Adam at a constant 1e-2, soft Dice, no augmentation and windows of 64 voxels
 * a side stay; the batch is 4 (tiny: 2) instead of 16, and the steps are fewer, so that a run takes about twice as long as one of
 * the other recipe.
 */
function recipeArms(scale: "tiny" | "small"): ArmSpec[] {
  const [nets, batch, steps] = scale === "tiny" ? [["unet:4", "lean:2"], 2, 20] : [["unet:4", "lean:8"], 4, 400];
  return nets.map((net) => ({
    net,
    preset: "paper",
    steps,
    settings: { batch, augment: "none" },
    role: `${role.recipe}: the paper's, with batch ${batch} instead of 16 over ${steps} steps`,
  }));
}

type Design = Omit<StudySpec, "name" | "data" | "images" | "labels" | "groups">;

const tiny: Design = {
  cases: 15,
  split: 5,
  folds: [0, 1],
  levels: 3,
  steps: 40,
  "epoch-steps": 20,
  settings: { batch: 1 },
  pruning: { remove: 4, warm: 30, recovery: 4, until: { parameters: "30%" }, "rank-batches": 4, sizes: 3 },
  arms: [
    { net: "unet:4", role: role.reference },
    { net: "lean:2", role: role.lean },
    { net: "lean", "equal-to": "unet:4", role: role.pair },
    { prune: "unet:4", pick: picks, role: role.prune },
    { net: "lean:4", skips: ["all", "none"], bottleneck: [1, 16], role: role.skips },
  ],
};

const small: Design = {
  folds: [0, 1, 2],
  levels: 5,
  steps: 1200,
  settings: { augment: "light" },
  pruning: { remove: 8, warm: 800, recovery: 40, until: { parameters: "8%" }, "rank-batches": 16 },
  arms: [
    { net: "unet:4", role: role.reference },
    { net: "lean:4", role: role.lean },
    { net: "lean:8", role: role.lean },
    { net: "unet:8", role: role.lean },
    { net: "lean", "equal-to": "unet:4", role: role.pair },
    { net: "unet:2", role: role.pair },
    { net: "lean", "equal-to": "unet:2", role: role.pair },
    { prune: "unet:4", pick: picks, role: role.prune },
    { net: "lean:8", skips: ["all", "none"], bottleneck: [2, 64], role: role.skips },
    { net: "lean:8", convs: 3, role: role.recipe },
    { net: "unet:4", "training-cases": 20, role: role.data },
    { net: "lean:8", "training-cases": 20, role: role.data },
    { prune: "unet:4", "training-cases": 20, role: role.data },
  ],
};

const full: Design = {
  levels: 5,
  preset: "paper",
  steps: 20000,
  pruning: { remove: 4, warm: 4000, recovery: 400, until: { parameters: "3%" } },
  arms: [
    { net: "unet:4", role: role.reference },
    ...["unet:1", "unet:2", "unet:3", "unet:8"].map((net) => ({ net, role: role.lean })),
    ...["lean:1", "lean:2", "lean:3", "lean:4", "lean:8"].map((net) => ({ net, role: role.lean })),
    { net: "lean", "equal-to": "unet:4", role: role.pair },
    { net: "lean", "equal-to": "unet:2", role: role.pair },
    // The paper's large family: 4 levels of 3 convolutions, one scan a step, a tenth of the learning rate.
    ...["unet:6", "unet:12", "unet:24", "lean:6", "lean:12", "lean:24"].map((net) => ({
      net,
      levels: 4,
      convs: 3,
      settings: { batch: 1, lr: 1e-3 },
      role: role.lean,
    })),
    { prune: "unet:4", pick: picks, role: role.prune },
    { net: "lean:8", skips: ["all", "none"], bottleneck: [1, 2, 4, 8, 16, 32, 64, 128], role: role.skips },
    { net: "unet:4", preset: "strong", role: role.recipe },
    { net: "lean:8", preset: "strong", role: role.recipe },
    { net: "unet:4", "training-cases": [10, 20, 50, 100], role: role.data },
    { net: "lean:8", "training-cases": [10, 20, 50, 100], role: role.data },
    { prune: "unet:4", "training-cases": [10, 20, 50, 100], role: role.data },
  ],
};
