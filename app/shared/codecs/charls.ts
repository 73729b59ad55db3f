import create from "../../../node_modules/@cornerstonejs/codec-charls/dist/charlswasm_decode.js";
import wasm from "../../../node_modules/@cornerstonejs/codec-charls/dist/charlswasm_decode.wasm?url";

export default (options: object) => create({ ...options, locateFile: () => wasm });
