/** Decoder of one frame, in WebAssembly memory. */
interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number };
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}
type WasmCodec<Name extends string> = (options: object) => Promise<Record<Name, new () => WasmDecoder>>;

declare module "@cornerstonejs/codec-openjpeg/decodewasmjs" {
  const create: WasmCodec<"J2KDecoder">;
  export default create;
}
declare module "@cornerstonejs/codec-charls/decodewasmjs" {
  const create: WasmCodec<"JpegLSDecoder">;
  export default create;
}
declare module "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs" {
  const create: WasmCodec<"JPEGDecoder">;
  export default create;
}
