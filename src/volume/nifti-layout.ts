/**
 * Where each field of a NIfTI-1 and NIfTI-2 header lies, and its type (nifti1.h of 2007, nifti2.h of 2011).
 * One table serves the reader and the writer.
 */
export type FieldType = "u8" | "i16" | "i32" | "i64" | "f32" | "f64";

export interface Field {
  at: number;
  type: FieldType;
}

export interface NiftiLayout {
  /** sizeof_hdr, also the header's length in bytes. */
  size: 348 | 540;
  /** First possible byte of voxel data: header plus the 4-byte extension flag. */
  dataStart: 352 | 544;
  magic: { at: number; single: string; pair: string };
  dim: Field;
  datatype: Field;
  bitpix: Field;
  pixdim: Field;
  voxOffset: Field;
  slope: Field;
  intercept: Field;
  units: Field;
  description: { at: number; length: 80 };
  qformCode: Field;
  sformCode: Field;
  /** quatern_b, c, d then qoffset_x, y, z. */
  quaternion: Field;
  /** srow_x, srow_y, srow_z: twelve numbers. */
  sform: Field;
}

export const nifti1: NiftiLayout = {
  size: 348,
  dataStart: 352,
  magic: { at: 344, single: "n+1\0", pair: "ni1\0" },
  dim: { at: 40, type: "i16" },
  datatype: { at: 70, type: "i16" },
  bitpix: { at: 72, type: "i16" },
  pixdim: { at: 76, type: "f32" },
  voxOffset: { at: 108, type: "f32" },
  slope: { at: 112, type: "f32" },
  intercept: { at: 116, type: "f32" },
  units: { at: 123, type: "u8" },
  description: { at: 148, length: 80 },
  qformCode: { at: 252, type: "i16" },
  sformCode: { at: 254, type: "i16" },
  quaternion: { at: 256, type: "f32" },
  sform: { at: 280, type: "f32" },
};

export const nifti2: NiftiLayout = {
  size: 540,
  dataStart: 544,
  magic: { at: 4, single: "n+2\0\r\n\x1a\n", pair: "ni2\0\r\n\x1a\n" },
  dim: { at: 16, type: "i64" },
  datatype: { at: 12, type: "i16" },
  bitpix: { at: 14, type: "i16" },
  pixdim: { at: 104, type: "f64" },
  voxOffset: { at: 168, type: "i64" },
  slope: { at: 176, type: "f64" },
  intercept: { at: 184, type: "f64" },
  units: { at: 500, type: "i32" },
  description: { at: 240, length: 80 },
  qformCode: { at: 344, type: "i32" },
  sformCode: { at: 348, type: "i32" },
  quaternion: { at: 352, type: "f64" },
  sform: { at: 400, type: "f64" },
};

const widths: Record<FieldType, number> = { u8: 1, i16: 2, i32: 4, i64: 8, f32: 4, f64: 8 };

/** The `index`-th number of a field. */
export function getField(view: DataView, field: Field, little: boolean, index = 0): number {
  const at = field.at + index * widths[field.type];
  switch (field.type) {
    case "u8":
      return view.getUint8(at);
    case "i16":
      return view.getInt16(at, little);
    case "i32":
      return view.getInt32(at, little);
    case "i64":
      return Number(view.getBigInt64(at, little));
    case "f32":
      return view.getFloat32(at, little);
    case "f64":
      return view.getFloat64(at, little);
  }
}

/** Writes the numbers of a field one after the other, little endian. */
export function setField(view: DataView, field: Field, ...values: number[]): void {
  values.forEach((value, index) => {
    const at = field.at + index * widths[field.type];
    if (field.type === "u8") view.setUint8(at, value);
    else if (field.type === "i16") view.setInt16(at, value, true);
    else if (field.type === "i32") view.setInt32(at, value, true);
    else if (field.type === "i64") view.setBigInt64(at, BigInt(value), true);
    else if (field.type === "f32") view.setFloat32(at, value, true);
    else view.setFloat64(at, value, true);
  });
}

/** Characters of a header field up to the first NUL. */
export function getText(bytes: Uint8Array, at: number, length: number): string {
  const text = String.fromCharCode(...bytes.subarray(at, at + length));
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** Writes ASCII characters, cut to `length`. */
export function setText(bytes: Uint8Array, at: number, text: string, length = text.length): void {
  for (let i = 0; i < Math.min(text.length, length); i++) bytes[at + i] = text.charCodeAt(i) & 127;
}
