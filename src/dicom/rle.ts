import { fail } from "../util/errors.ts";

/**
 * Unpacks a frame of RLE Lossless (PS3.5 annex G): a header of up to 15 segment offsets, one PackBits segment a byte plane, the
 * high byte first. Gives little-endian samples of `width` bytes. UserError for segments that do not fit.
 */
export function decodeRle(packed: Uint8Array, pixels: number, width: number, name: string): Uint8Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const segments = packed.length >= 64 ? view.getUint32(0, true) : 0;
  if (segments !== width) fail(`${name}: RLE data of ${segments} segments; expected ${width}: the file is damaged.`);
  const out = new Uint8Array(pixels * width);
  for (let segment = 0; segment < width; segment++) {
    const start = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < width ? view.getUint32(8 + 4 * segment, true) : packed.length;
    const plane = width - 1 - segment;
    let done = 0;
    for (let at = start; at < Math.min(end, packed.length) && done < pixels; ) {
      const code = packed[at++];
      if (code < 128) {
        for (let n = 0; n <= code && done < pixels && at < packed.length; n++)
          out[done++ * width + plane] = packed[at++];
      } else if (code > 128) {
        const value = packed[at++];
        for (let n = 0; n < 257 - code && done < pixels; n++) out[done++ * width + plane] = value;
      }
    }
    if (done < pixels) fail(`${name}: RLE data ends after ${done} of ${pixels} pixels; the file is damaged.`);
  }
  return out;
}
