import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CaseMeasures, Intensities } from "./report-measure.ts";
import { findOutliers, robustZ, typicalCases } from "./report-outliers.ts";

const intensity = (mean: number): Intensities => ({
  mean,
  sd: 1,
  percentile005: mean,
  median: mean,
  percentile995: mean,
});

interface Given {
  ml?: number;
  spacing?: number;
  inside?: number;
  channel?: string;
  orientation?: string;
  unlabelled?: boolean;
}

/** A case that is like all others but for what is given. */
function caseOf(id: number, given: Given = {}): CaseMeasures {
  const { ml = 10, spacing = 1, inside = 100, channel = "MRI", orientation = "RAS", unlabelled } = given;
  const label = {
    value: 1,
    name: "organ",
    voxels: ml * 1000,
    ml,
    components: 1,
    largestShare: 1,
    touchesBorder: false,
  };
  return {
    id: `c${id}`,
    part: "training",
    shape: [20, 20, 20],
    spacing: [spacing, 1, 1],
    extent: [20, 20, 20],
    orientation,
    channels: [{ name: channel, inside: unlabelled ? null : intensity(inside), outside: intensity(50) }],
    labels: unlabelled ? null : [label],
  };
}

const some = (count: number, given: (i: number) => Given): CaseMeasures[] =>
  Array.from({ length: count }, (_, i) => caseOf(i, given(i)));

describe("robust z", () => {
  test("Iglewicz and Hoaglin's formula, by hand", () => {
    // Median 3, distances 2, 1, 0, 1, 97: MAD 1.
    expect(robustZ([1, 2, 3, 4, 100])).toEqual([-2, -1, 0, 1, 97].map((x) => expect.closeTo(0.6745 * x, 12)));
  });

  test("where most are equal the mean distance takes over; where all are, nothing is unusual", () => {
    // Distances 0, 0, 0, 0, 5: mean 1.
    expect(robustZ([7, 7, 7, 7, 12])).toEqual([0, 0, 0, 0, 5].map((x) => expect.closeTo(x / 1.2533, 12)));
    expect(robustZ([7, 7, 7])).toEqual([0, 0, 0]);
  });

  test("shifting changes nothing, scaling neither but for the sign", () => {
    const values = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 3, maxLength: 30 });
    fc.assert(
      fc.property(values, fc.constantFrom(-2, 0.5, 4), fc.constantFrom(-64, 128), (list, scale, shift) => {
        const z = robustZ(list);
        const moved = robustZ(list.map((x) => scale * x + shift));
        for (const [i, value] of moved.entries()) expect(value).toBeCloseTo(Math.sign(scale) * z[i], 9);
      }),
    );
  });
});

describe("outliers", () => {
  test("a volume by its ratio, small as well as large, named with the reason", () => {
    // 20 cases of 8, 10 and 12.5 ml: logs 0 and +-0.223; 100 and 1 ml are 2.303 away.
    const cases = some(22, (i) => ({ ml: i === 20 ? 100 : i === 21 ? 1 : [8, 10, 12.5][i % 3] }));
    const { outliers, mixtures } = findOutliers(cases);
    expect(outliers.map((one) => [one.case, one.what])).toEqual([
      ["c20", "volume of organ"],
      ["c21", "volume of organ"],
    ]);
    const z = (0.6745 * Math.log(10)) / Math.log(1.25);
    expect(outliers[0]).toMatchObject({ value: 100, typical: 10, z: expect.closeTo(z, 9) });
    expect(outliers[1].z).toBeCloseTo(-z, 9);
    expect(outliers[0].reason).toBe("volume of organ is 100 ml, the median is 10 ml (robust z 7.0)");
    expect(mixtures).toEqual([]);
  });

  test("a single other spacing counts, but not within 1 %", () => {
    const [near, far] = [1.009, 1.02].map((spacing) => some(30, (i) => (i === 3 ? { spacing } : {})));
    expect(findOutliers(near).outliers).toEqual([]);
    expect(findOutliers(far).outliers).toMatchObject([{ case: "c3", what: "voxel size along D", value: 1.02 }]);
  });

  test("brightness by its ratio, that of CT by its difference", () => {
    const of = (channel: string) => some(21, (i) => ({ channel, inside: i === 20 ? 4 : 95 + (i % 3) * 5 }));
    const [mri, ct] = ["MRI", "CT"].map((name) => findOutliers(of(name)).outliers[0]);
    expect(mri).toMatchObject({ case: "c20", what: "mean MRI inside the labels" });
    expect(ct.z).toBeCloseTo((0.6745 * -96) / 5, 9);
    expect(mri.z).not.toBeCloseTo(ct.z!, 1);
  });

  test("a label or an orientation that at least 90 % share; cases without a label map lack no label", () => {
    const cases = some(20, (i) =>
      i === 4 ? { ml: 0 } : i === 5 ? { orientation: "LPS" } : i === 6 ? { unlabelled: true } : {},
    );
    expect(findOutliers(cases).outliers.map(({ reason }) => reason)).toEqual([
      "it has none of label 1 (organ), which 18 of 19 cases have",
      "it does not have orientation RAS, which 19 of 20 cases have",
    ]);
    const half = some(20, (i) => ({ ml: i % 2 ? 0 : 10, orientation: i % 2 ? "RAS" : "LPS" }));
    expect(findOutliers(half).outliers).toEqual([]);
  });

  test("more than 10 % of the cases are a mixture, not outliers", () => {
    const cases = some(20, (i) => ({ inside: i < 4 ? 90_000 : 95 + (i % 3) * 5 }));
    const { outliers, mixtures } = findOutliers(cases);
    expect(outliers).toEqual([]);
    expect(mixtures).toMatchObject([{ what: "mean MRI inside the labels", cases: ["c0", "c1", "c2", "c3"] }]);
    expect(mixtures[0].reason).toContain("4 of 20 cases lie far from the median 100, at 90000 to 90000");
  });

  test("four cases say nothing", () => {
    expect(findOutliers(some(4, (i) => ({ ml: i ? 10 : 1000 })))).toEqual({ outliers: [], mixtures: [] });
    expect(findOutliers([])).toEqual({ outliers: [], mixtures: [] });
  });
});

test("typical cases are in the middle of everything, labelled and with every label", () => {
  const cases = some(9, (i) => (i === 4 ? { unlabelled: true } : { ml: 6 + i, inside: 92 + 2 * i }));
  const typical = typicalCases([...cases, caseOf(9, { ml: 0, inside: 100 })], 2);
  // Volumes 6 .. 14 without 10: the median is between 9 and 11, and so are the intensities.
  expect(typical.toSorted()).toEqual(["c3", "c5"]);
});
