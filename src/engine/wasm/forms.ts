import type { StageInfo } from "./program.ts";

/** How the arithmetic of a layer is done: on the voxels themselves, or on Winograd's transformed tiles. */
export type Form = "direct" | "Winograd 2x2" | "Winograd 4x4";

/** The forms of a stage's kernels: several where the sources of a concat differ, none where it has no such work. */
export interface StageForms {
  /** Forward convolutions and data gradients. */
  convolution: Form[];
  weightGradient: Form[];
}

/** By the first word of a kernel's key; the other kernels do no layer's multiplications. */
const kernels: Record<string, { work: keyof StageForms; form: Form }> = {
  conv: { work: "convolution", form: "direct" },
  winograd2: { work: "convolution", form: "Winograd 2x2" },
  winograd4: { work: "convolution", form: "Winograd 4x4" },
  weightGradient: { work: "weightGradient", form: "direct" },
  winogradGradient2: { work: "weightGradient", form: "Winograd 2x2" },
  winogradGradient4: { work: "weightGradient", form: "Winograd 4x4" },
};

/** Which form the lowering chose for a stage. */
export function formsOf(stage: Pick<StageInfo, "kernels">): StageForms {
  const forms: StageForms = { convolution: [], weightGradient: [] };
  for (const word of stage.kernels)
    if (Object.hasOwn(kernels, word)) forms[kernels[word].work].push(kernels[word].form);
  return forms;
}
