/*
 * IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits) by hand: Float16Array came with Node 24, and lunet runs on older ones.
 */

const word = new DataView(new ArrayBuffer(4));

/** The largest finite binary16 number. */
export const largestFloat16 = 65504;

/** The 16 bits of the binary16 number nearest to `value` (ties to even); beyond {@link largestFloat16} that is infinity. */
export function toFloat16(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const fraction = bits & 0x7fffff;
  if (exponent === 128) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  if (exponent < -25) return sign;
  if (exponent > 15) return sign | 0x7c00;
  // Subnormals lose a bit for each step below the smallest exponent, -14.
  const lost = exponent < -14 ? -1 - exponent : 13;
  const whole = exponent < -14 ? fraction | 0x800000 : ((exponent + 15) << 23) | fraction;
  const kept = whole >>> lost;
  const rest = whole & ((1 << lost) - 1);
  const half = 1 << (lost - 1);
  // A carry out of the fraction raises the exponent, up to infinity, as it should.
  return sign | (kept + (rest > half || (rest === half && kept & 1) ? 1 : 0));
}

/** The value of 16 bits of binary16. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
