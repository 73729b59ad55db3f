import create from "../../../node_modules/@cornerstonejs/codec-openjpeg/dist/openjpegwasm_decode.js";
import wasm from "../../../node_modules/@cornerstonejs/codec-openjpeg/dist/openjpegwasm_decode.wasm?url";

export default (options: object) => create({ ...options, locateFile: () => wasm });
