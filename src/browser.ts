/** lunet as a library for browsers: what neither needs files nor Node. Bundlers take it for "lunet" where they build for browsers. */
export type { Plan } from "./dataset/types.ts";
export { createBackend } from "./engine/backend.ts";
export type { Backend } from "./engine/types.ts";
export { evaluateCase } from "./evaluate/case.ts";
export { summarise } from "./evaluate/summary.ts";
export { loadModel } from "./model/fetch.ts";
export { readModel } from "./model/file.ts";
export { toOnnx } from "./model/onnx.ts";
export type { Model } from "./model/types.ts";
export { countNet } from "./net/count.ts";
export { parseNet } from "./net/make.ts";
export type { NetSpec } from "./net/spec.ts";
export type { Predictor, Segmentation } from "./predict/segment.ts";
export { createPredictor, segment } from "./predict/segment.ts";
export { UserError } from "./util/errors.ts";
export { readNifti, writeNifti } from "./volume/nifti.ts";
export type { Vec3, Volume } from "./volume/volume.ts";
