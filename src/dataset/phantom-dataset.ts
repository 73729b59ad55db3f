import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { explainFileError, writeFileAtomic } from "../util/files.ts";
import { writeVolume } from "../volume/files.ts";
import { makePhantom, type PhantomOptions } from "./phantom.ts";

export interface PhantomDatasetOptions extends PhantomOptions {
  /** Labelled scans to train on. Default 60. */
  cases?: number;
  /** Scans that training does not see; their labels lie in labelsTs. Default 12. */
  test?: number;
  seed?: number;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Writes a data set of made-up scans ({@link makePhantom}) in the layout of the Medical Segmentation Decathlon: dataset.json,
 * imagesTr, labelsTr, imagesTs, and labelsTs beside them. Files that are there already are written over.
 */
export async function writePhantomDataset(folder: string, options: PhantomDatasetOptions = {}): Promise<void> {
  const { cases = 60, test = 12, seed = 1, onProgress, ...scan } = options;
  const total = cases + test;
  const name = (index: number): string => `phantom_${String(index + 1).padStart(3, "0")}.nii.gz`;
  for (const sub of ["imagesTr", "labelsTr", "imagesTs", "labelsTs"]) {
    await mkdir(join(folder, sub), { recursive: true }).catch((error) => {
      throw explainFileError(error, folder) ?? error;
    });
  }
  for (let index = 0; index < total; index++) {
    const part = index < cases ? "Tr" : "Ts";
    const { image, label } = makePhantom(seed, index, scan);
    await writeVolume(join(folder, `images${part}`, name(index)), image);
    await writeVolume(join(folder, `labels${part}`, name(index)), label);
    onProgress?.(index + 1, total);
  }
  const indices = Array.from({ length: total }, (_, index) => index);
  const description = {
    name: "Phantom",
    description: "Made-up scans of a curved structure in two parts; no person was scanned",
    modality: { "0": "MRI" },
    labels: { "0": "background", "1": "anterior", "2": "posterior" },
    numTraining: cases,
    numTest: test,
    training: indices.slice(0, cases).map((i) => ({ image: `./imagesTr/${name(i)}`, label: `./labelsTr/${name(i)}` })),
    test: indices.slice(cases).map((i) => `./imagesTs/${name(i)}`),
  };
  await writeFileAtomic(join(folder, "dataset.json"), `${JSON.stringify(description, null, 2)}\n`);
}
