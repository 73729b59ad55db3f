import { fail } from "../util/errors.ts";

/** A public data set that one archive holds. */
export interface PublicSet {
  /** Name of the command and of the folder. */
  name: string;
  /** What it shows, and how much of it. */
  title: string;
  url: string;
  /** Bytes of the archive, about; absent where the server alone knows. */
  about?: number;
  /** MD5 of the archive, as MONAI publishes it (monai.apps.DecathlonDataset). */
  md5: string;
  licence: string;
  licenceUrl: string;
  /** Who made it: the paper to cite. */
  cite: string;
}

const msd = (
  task: string,
  title: string,
  md5: string,
  about?: number,
): Pick<PublicSet, "name" | "title" | "url" | "md5" | "about"> => ({
  name: task.slice("Task00_".length).toLowerCase(),
  title: `Medical Segmentation Decathlon ${task}: ${title}`,
  // The copy in the AWS Registry of Open Data that MONAI reads.
  url: `https://msd-for-monai.s3-us-west-2.amazonaws.com/${task}.tar`,
  md5,
  about,
});

/** What `lunet download` knows: the ten tasks of the Medical Segmentation Decathlon. */
export const publicSets: readonly PublicSet[] = [
  msd("Task01_BrainTumour", "brain tumours, MRI of 4 channels, 484 labelled scans", "240a19d752f0d9e9101544901065d872"),
  msd("Task02_Heart", "left atrium, MRI, 20 labelled scans", "06ee59366e1e5124267b774dbd654057"),
  msd("Task03_Liver", "liver and tumours, CT, 131 labelled scans", "a90ec6c4aa7f6a3d087205e23d4e6397"),
  msd(
    "Task04_Hippocampus",
    "anterior and posterior hippocampus, MRI, 260 labelled scans",
    "9d24dba78a72977dbd1d2e110310f31b",
    28_400_000,
  ),
  msd(
    "Task05_Prostate",
    "two zones of the prostate, MRI of 2 channels, 32 labelled scans",
    "35138f08b1efaef89d7424d2bcc928db",
  ),
  msd("Task06_Lung", "lung tumours, CT, 63 labelled scans", "8afd997733c7fc0432f71255ba4e52dc", 9_163_696_640),
  msd("Task07_Pancreas", "pancreas and tumours, CT, 281 labelled scans", "4f7080cfca169fa8066d17ce6eb061e4"),
  msd("Task08_HepaticVessel", "liver vessels and tumours, CT, 303 labelled scans", "641d79e80ec66453921d997fbf12a29c"),
  msd("Task09_Spleen", "spleen, CT, 41 labelled scans", "410d4a301da4e5b2f6f86ec3ddba524e", 1_610_000_000),
  msd("Task10_Colon", "colon tumours, CT, 126 labelled scans", "bad7a188931dc2f6acf72b08eb6202d0"),
].map((set) => ({
  ...set,
  licence: "CC BY-SA 4.0",
  licenceUrl: "https://creativecommons.org/licenses/by-sa/4.0/",
  cite: "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13, 4128 (2022)",
}));

/** The set of a name: its own ("hippocampus"), or that of its task ("Task04", "Task04_Hippocampus"), in any case. */
export function findSet(name: string): PublicSet {
  const wanted = name.toLowerCase();
  const found = publicSets.find((set) => {
    const task = /Task\d\d_\w+/.exec(set.url)![0].toLowerCase();
    return [set.name, task, task.slice(0, 6)].includes(wanted);
  });
  const names = publicSets.map((set) => set.name);
  return (
    found ??
    fail(
      `Expected the name of a public set and got ${name}; known are ${names.join(", ")} (lunet download --list). For another ` +
        "archive give its address with --url.",
    )
  );
}
