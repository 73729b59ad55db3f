/**
 * NIfTI files for tests, put together from the field offsets of the standard alone: nothing of the reader or writer under
 * test is used here.
 */
export interface Fixture {
  version?: 1 | 2;
  little?: boolean;
  /** dim[1..]. */
  dims: number[];
  code: number;
  bits: number;
  /** Writes voxel `index` at byte `at`. */
  put: (view: DataView, at: number, index: number, little: boolean) => void;
  pixdim?: number[];
  qform?: { code: number; quaternion: number[]; offset: number[] };
  sform?: { code: number; rows: number[] };
  slope?: number;
  intercept?: number;
  units?: number;
  voxOffset?: number;
  magic?: string;
}

export function fixtureBytes(options: Fixture): Uint8Array {
  const {
    version = 1,
    little = true,
    dims,
    code,
    bits,
    put,
    pixdim = [1, 1, 1, 1],
    slope = 0,
    intercept = 0,
  } = options;
  const start = options.voxOffset ?? (version === 1 ? 352 : 544);
  const count = dims.reduce((product, n) => product * n, 1);
  const bytes = new Uint8Array(start + (count > 0 && count < 1e6 ? (count * bits) / 8 : 0));
  const view = new DataView(bytes.buffer);
  const short = (at: number, value: number): void => view.setInt16(at, value, little);
  const int = (at: number, value: number): void => view.setInt32(at, value, little);
  const long = (at: number, value: number): void => view.setBigInt64(at, BigInt(value), little);
  const float = (at: number, value: number): void => view.setFloat32(at, value, little);
  const double = (at: number, value: number): void => view.setFloat64(at, value, little);
  const text = (at: number, value: string): void => {
    for (let i = 0; i < value.length; i++) bytes[at + i] = value.charCodeAt(i);
  };
  const each = (values: number[], at: number, step: number, set: (at: number, value: number) => void): void => {
    for (let i = 0; i < values.length; i++) set(at + step * i, values[i]);
  };
  const rows = options.sform?.rows ?? [];
  const quaternion = [...(options.qform?.quaternion ?? []), ...(options.qform?.offset ?? [])];
  if (version === 1) {
    int(0, 348);
    each([dims.length, ...dims], 40, 2, short);
    short(70, code);
    short(72, bits);
    each(pixdim, 76, 4, float);
    float(108, start);
    float(112, slope);
    float(116, intercept);
    view.setUint8(123, options.units ?? 2);
    text(148, "made by hand");
    short(252, options.qform?.code ?? 0);
    short(254, options.sform?.code ?? 0);
    each(quaternion, 256, 4, float);
    each(rows, 280, 4, float);
    text(344, options.magic ?? "n+1\0");
  } else {
    int(0, 540);
    text(4, options.magic ?? "n+2\0\r\n\x1a\n");
    short(12, code);
    short(14, bits);
    each([dims.length, ...dims], 16, 8, long);
    each(pixdim, 104, 8, double);
    long(168, start);
    double(176, slope);
    double(184, intercept);
    text(240, "made by hand");
    int(344, options.qform?.code ?? 0);
    int(348, options.sform?.code ?? 0);
    each(quaternion, 352, 8, double);
    each(rows, 400, 8, double);
    int(500, options.units ?? 2);
  }
  for (let i = 0; start + ((i + 1) * bits) / 8 <= bytes.length; i++) put(view, start + (i * bits) / 8, i, little);
  return bytes;
}

/** A small sound int16 scan of 4 x 3 x 2 voxels with voxel value = index - 7, to be spoiled by a test. */
export function smallScan(change: Partial<Fixture> = {}): Uint8Array {
  return fixtureBytes({
    dims: [4, 3, 2],
    code: 4,
    bits: 16,
    put: (view, at, index, little) => view.setInt16(at, index - 7, little),
    pixdim: [1, 2, 3, 4],
    sform: { code: 1, rows: [2, 0, 0, 10, 0, 3, 0, 20, 0, 0, 4, 30] },
    ...change,
  });
}
