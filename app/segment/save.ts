import type { LabelInfo } from "../../src/dataset/types.ts";
import { parseDicom } from "../../src/dicom/parse.ts";
import { termsOf } from "../../src/dicom/seg/codes.ts";
import { sourceFault, writeSegmentation } from "../../src/dicom/seg/write.ts";
import { fail } from "../../src/util/errors.ts";
import { writeNifti } from "../../src/volume/nifti.ts";
import type { Volume } from "../../src/volume/volume.ts";
import type { Scan } from "../shared/scan.ts";
import { labelColour } from "./colours.ts";

declare const __LUNET_VERSION__: string;

/** A name that every file system takes. */
const fileName = (name: string): string => name.replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "") || "scan";

/** The mask as a compressed NIfTI file on the scan's own grid. */
export async function niftiFile(mask: Volume<Uint8Array>, scan: Scan): Promise<{ name: string; bytes: Uint8Array }> {
  const bytes = await writeNifti(mask, { gzip: true, description: "lunet" });
  return { name: `${fileName(scan.name)}_mask.nii.gz`, bytes };
}

/** The mask as a DICOM segmentation that refers to the scan's series; `edited` where someone drew on it. */
export async function segFile(
  mask: Volume<Uint8Array>,
  scan: Scan,
  labels: readonly LabelInfo[],
  { algorithm, edited }: { algorithm: string; edited: boolean },
): Promise<{ name: string; bytes: Uint8Array }> {
  const { dicom } = scan;
  if (!dicom) return fail("DICOM SEG refers to a DICOM scan, and this one came in another format; save NIfTI.");
  const fault = sourceFault(dicom.series);
  // The sentence ends with advice for the command line.
  if (fault) fail(`${fault.slice(0, fault.lastIndexOf(";"))}; save NIfTI.`);
  const header = await parseDicom(dicom.header.bytes, dicom.header.name, true);
  const segments = labels
    .filter(({ value }) => value !== 0)
    .map((label, place) => ({
      ...label,
      ...termsOf(label.name),
      colour: [...labelColour(place)] as [number, number, number],
    }));
  const bytes = writeSegmentation(
    mask,
    segments,
    { series: dicom.series, header },
    {
      algorithm,
      version: __LUNET_VERSION__,
      now: new Date(),
      newUid,
      edited,
    },
  );
  return { name: `${fileName(scan.name)}_mask.dcm`, bytes };
}

/** A DICOM identifier from 128 random bits (PS3.5, B.2). */
function newUid(): string {
  const bits = crypto.getRandomValues(new BigUint64Array(2));
  return `2.25.${(bits[0] << 64n) | bits[1]}`;
}
