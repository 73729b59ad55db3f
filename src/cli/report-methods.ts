import { outlierLimit } from "../dataset/report-outliers.ts";

/** The page's last section, a paragraph each. */
export const reportMethods: readonly string[] = [
  `Unusual: a modified z score (Iglewicz and Hoaglin 1993: 0.6745 (x - median) / MAD) beyond ${outlierLimit} in voxel size, extent, volume of a label, or mean intensity inside or outside the labels. Sizes are compared by their logarithms, and so are intensities where all are above 0 and the channel is not called CT. Differences below 1 % of the median never count. Where more than half of the values are equal, the mean distance from the median takes the place of the MAD. Also unusual: a case without a label, or with another orientation, than at least 90 % of the cases have. Unusual is not wrong: look at the picture.`,
  "Where more than 10 % of the cases would be unusual in one respect they are not exceptions, but scans of another kind; the top of the page says so.",
  "Parts: connected voxels of a label, neighbours by face, edge or corner. A label touches the border where one of its voxels lies on the first or last plane of an axis; structures that end there may be cut off.",
  "Intensities are of the files' own values, from at most 200,000 evenly spaced voxels inside and as many outside the labels of a case. Duplicates are images whose voxels are all equal.",
  "Typical cases are those closest to the medians in everything that is compared. Pictures show the slice with the most labels and of those the one with the largest labelled area, in grey between the 1st and 99th percentile.",
];
