/**
 * Enough of the Protocol Buffers wire format to write a message: a field is a key (number * 8 + wire type) and its value.
 * A message is written as a list of byte chunks; nested messages are joined when they are finished.
 */
export type Field = Uint8Array;

const varintType = 0;
const lengthType = 2;
const fixed32Type = 5;

/** Base-128 little endian, 7 bits a byte; negative numbers as 64-bit two's complement (10 bytes). */
export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Uint8Array.from(out);
}

const key = (number: number, type: number): Uint8Array => varint(number * 8 + type);

/** int32, int64, bool and enum fields. */
export function intField(number: number, value: number | bigint): Field {
  return join([key(number, varintType), varint(value)]);
}

export function floatField(number: number, value: number): Field {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return join([key(number, fixed32Type), bytes]);
}

export function bytesField(number: number, value: Uint8Array): Field {
  return join([key(number, lengthType), varint(value.length), value]);
}

export function stringField(number: number, value: string): Field {
  return bytesField(number, new TextEncoder().encode(value));
}

/** A nested message made of fields. */
export function messageField(number: number, fields: Field[]): Field {
  return bytesField(number, join(fields));
}

/** Fields one after another: a whole message. */
export function join(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
