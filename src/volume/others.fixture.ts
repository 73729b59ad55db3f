/**
 * Files that other programs wrote, in base64. ITK 5 (through itk-wasm's image-io 1.6) wrote the NRRD and MetaImage ones from one
 * oblique scan; nibabel 5.4 wrote the Analyze header, here packed by gzip.
 */
const unpack = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

const [cos, sin] = [Math.cos(0.3), Math.sin(0.3)];

/** RAS affine of the scan that ITK wrote: turned about two axes, spacing 0.7 x 1.3 x 2.5 mm, j mirrored. */
export const obliqueAffine: Float64Array = Float64Array.of(
  ...[0.7 * cos, 1.3 * 0.8 * sin, 2.5 * 0.6 * sin, -12.25],
  ...[0.7 * sin, -1.3 * 0.8 * cos, -2.5 * 0.6 * cos, 33.5],
  ...[0, -1.3 * 0.6, 2.5 * 0.8, -101.125],
  ...[0, 0, 0, 1],
);

/** Its voxels: int16, 4 x 3 x 2. */
export const obliqueVoxels: Int16Array = Int16Array.from({ length: 24 }, (_, i) => i * 5 - 60);

/** Attached header, gzip. */
export const itkNrrdGzip: Uint8Array = unpack(
  "TlJSRDAwMDQKIyBDb21wbGV0ZSBOUlJEIGZpbGUgZm9ybWF0IHNwZWNpZmljYXRpb24gYXQ6CiMgaHR0cDovL3RlZW0uc291cmNlZm9yZ2Uubm" +
    "V0L25ycmQvZm9ybWF0Lmh0bWwKdHlwZTogc2hvcnQKZGltZW5zaW9uOiAzCnNwYWNlOiBsZWZ0LXBvc3Rlcmlvci1zdXBlcmlvcgpzaXplczog" +
    "NCAzIDIKc3BhY2UgZGlyZWN0aW9uczogKC0wLjY2ODczNTU0MjM4NzkyNDEsLTAuMjA2ODY0MTQ0NjYyOTM3NjgsMCkgKC0wLjMwNzM0MTAxND" +
    "kyNzc5MzE0LDAuOTkzNTQ5OTQ4NjkwNjMwNCwtMC43ODAwMDAwMDAwMDAwMDAwMykgKC0wLjQ0MzI4MDMwOTk5MjAwOTI5LDEuNDMzMDA0NzMz" +
    "Njg4NDA4OSwyKQpraW5kczogZG9tYWluIGRvbWFpbiBkb21haW4KZW5kaWFuOiBsaXR0bGUKZW5jb2Rpbmc6IGd6aXAKc3BhY2Ugb3JpZ2luOi" +
    "AoMTIuMjUsLTMzLjUsLTEwMS4xMjUpCgofiwgAAAAAAAADATAAz//E/8n/zv/T/9j/3f/i/+f/7P/x//b/+/8AAAUACgAPABQAGQAeACMAKAAt" +
    "ADIANwACnFydMAAAAA==",
);

/** Compressed. */
export const itkMhaZlib: Uint8Array = unpack(
  "T2JqZWN0VHlwZSA9IEltYWdlCk5EaW1zID0gMwpCaW5hcnlEYXRhID0gVHJ1ZQpCaW5hcnlEYXRhQnl0ZU9yZGVyTVNCID0gRmFsc2UKQ29tcH" +
    "Jlc3NlZERhdGEgPSBUcnVlCkNvbXByZXNzZWREYXRhU2l6ZSA9IDU5ClRyYW5zZm9ybU1hdHJpeCA9IC0wLjk1NTMzNjQ4OTEyNTYwNjA5IC0w" +
    "LjI5NTUyMDIwNjY2MTMzOTYgMCAtMC4yMzY0MTYxNjUzMjkwNzE2NCAwLjc2NDI2OTE5MTMwMDQ4NDg3IC0wLjU5OTk5OTk5OTk5OTk5OTk4IC" +
    "0wLjE3NzMxMjEyMzk5NjgwMzcxIDAuNTczMjAxODkzNDc1MzYzNTQgMC44MDAwMDAwMDAwMDAwMDAwNApPZmZzZXQgPSAxMi4yNSAtMzMuNSAt" +
    "MTAxLjEyNQpDZW50ZXJPZlJvdGF0aW9uID0gMCAwIDAKQW5hdG9taWNhbE9yaWVudGF0aW9uID0gTEFJCkVsZW1lbnRTcGFjaW5nID0gMC42OT" +
    "k5OTk5OTk5OTk5OTk4NCAxLjMgMi41CkRpbVNpemUgPSA0IDMgMgpFbGVtZW50VHlwZSA9IE1FVF9TSE9SVApFbGVtZW50RGF0YUZpbGUgPSBM" +
    "T0NBTAp4XgEwAM//xP/J/87/0//Y/93/4v/n/+z/8f/2//v/AAAFAAoADwAUABkAHgAjACgALQAyADcAN+UXuQ==",
);

/** Two channels side by side, voxel i holding i and 100 + i; raw. */
export const itkNrrdVector: Uint8Array = unpack(
  "TlJSRDAwMDQKIyBDb21wbGV0ZSBOUlJEIGZpbGUgZm9ybWF0IHNwZWNpZmljYXRpb24gYXQ6CiMgaHR0cDovL3RlZW0uc291cmNlZm9yZ2Uubm" +
    "V0L25ycmQvZm9ybWF0Lmh0bWwKdHlwZTogc2hvcnQKZGltZW5zaW9uOiA0CnNwYWNlOiBsZWZ0LXBvc3Rlcmlvci1zdXBlcmlvcgpzaXplczog" +
    "MiA0IDMgMgpzcGFjZSBkaXJlY3Rpb25zOiBub25lICgtMC42Njg3MzU1NDIzODc5MjQxLC0wLjIwNjg2NDE0NDY2MjkzNzY4LDApICgtMC4zMD" +
    "czNDEwMTQ5Mjc3OTMxNCwwLjk5MzU0OTk0ODY5MDYzMDQsLTAuNzgwMDAwMDAwMDAwMDAwMDMpICgtMC40NDMyODAzMDk5OTIwMDkyOSwxLjQz" +
    "MzAwNDczMzY4ODQwODksMikKa2luZHM6IHZlY3RvciBkb21haW4gZG9tYWluIGRvbWFpbgplbmRpYW46IGxpdHRsZQplbmNvZGluZzogcmF3Cn" +
    "NwYWNlIG9yaWdpbjogKDEyLjI1LC0zMy41LC0xMDEuMTI1KQoKAABkAAEAZQACAGYAAwBnAAQAaAAFAGkABgBqAAcAawAIAGwACQBtAAoAbgAL" +
    "AG8ADABwAA0AcQAOAHIADwBzABAAdAARAHUAEgB2ABMAdwAUAHgAFQB5ABYAegAXAHsA",
);

/** The same. */
export const itkMhaVector: Uint8Array = unpack(
  "T2JqZWN0VHlwZSA9IEltYWdlCk5EaW1zID0gMwpCaW5hcnlEYXRhID0gVHJ1ZQpCaW5hcnlEYXRhQnl0ZU9yZGVyTVNCID0gRmFsc2UKQ29tcH" +
    "Jlc3NlZERhdGEgPSBGYWxzZQpUcmFuc2Zvcm1NYXRyaXggPSAtMC45NTUzMzY0ODkxMjU2MDYwOSAtMC4yOTU1MjAyMDY2NjEzMzk2IDAgLTAu" +
    "MjM2NDE2MTY1MzI5MDcxNjQgMC43NjQyNjkxOTEzMDA0ODQ4NyAtMC41OTk5OTk5OTk5OTk5OTk5OCAtMC4xNzczMTIxMjM5OTY4MDM3MSAwLj" +
    "U3MzIwMTg5MzQ3NTM2MzU0IDAuODAwMDAwMDAwMDAwMDAwMDQKT2Zmc2V0ID0gMTIuMjUgLTMzLjUgLTEwMS4xMjUKQ2VudGVyT2ZSb3RhdGlv" +
    "biA9IDAgMCAwCkFuYXRvbWljYWxPcmllbnRhdGlvbiA9IExBSQpFbGVtZW50U3BhY2luZyA9IDAuNjk5OTk5OTk5OTk5OTk5ODQgMS4zIDIuNQ" +
    "pEaW1TaXplID0gNCAzIDIKRWxlbWVudE51bWJlck9mQ2hhbm5lbHMgPSAyCkVsZW1lbnRUeXBlID0gTUVUX1NIT1JUCkVsZW1lbnREYXRhRmls" +
    "ZSA9IExPQ0FMCgAAZAABAGUAAgBmAAMAZwAEAGgABQBpAAYAagAHAGsACABsAAkAbQAKAG4ACwBvAAwAcAANAHEADgByAA8AcwAQAHQAEQB1AB" +
    "IAdgATAHcAFAB4ABUAeQAWAHoAFwB7AA==",
);

/** Analyze 7.5 header of 4 x 3 x 2 int16, 2 x 3 x 4 mm. */
export const nibabelAnalyze: Uint8Array = unpack(
  "H4sIAAAAAAACA4thZCAKMDOwMDAzMDEwQiEqYGEQANMN9gwMDA4MDA4ODAwNDhA+Mh5ZAAAFtP8FXAEAAA==",
);
