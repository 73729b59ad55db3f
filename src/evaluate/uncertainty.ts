import { diceOf } from "./overlap.ts";

/** What the scores of a voxel are: probabilities of classes that exclude each other, or of regions that may overlap. */
export type ScoreKind = "classes" | "regions";

/** How sure a prediction is of one class or region. */
export interface ClassUncertainty {
  name: string;
  /** Volume of the voxels where it is predicted, in ml. */
  ml: number;
  /** Sum of its probability over all voxels times the voxel's volume, in ml. */
  softMl: number;
  /** Mean probability where it is predicted; null where it is nowhere. */
  probability: number | null;
}

/** How much the members of an ensemble disagree. */
export interface Disagreement {
  members: number;
  /** Mean over pairs of members of the Dice between their label maps, for each class or region; 1 where none of them has it. */
  pairDice: number[];
  /** Mean of these. */
  meanPairDice: number;
  /**
   * Share of the variance that is between members. Of a class with mean probability p the variance is p (1 - p), and by the law of
   * total variance that is the mean of the members' own p_m (1 - p_m) plus the variance of the p_m. Sums over voxels and classes.
   */
  varianceShare: number;
}

/** How sure a prediction is, from its probabilities before any post-processing, on the net's grid. */
export interface Uncertainty {
  /**
   * Mean entropy over all voxels and over those predicted as foreground (null where there are none), in nats. Classes: of the K
   * probabilities, at most log K. Regions: mean over regions of the entropy of p and 1 - p, at most log 2.
   */
  entropy: number;
  foregroundEntropy: number | null;
  /** Divide by it to bring an entropy to 0..1. */
  largestEntropy: number;
  classes: ClassUncertainty[];
  /** Only of two or more members. */
  disagreement?: Disagreement;
}

export interface UncertaintyOptions {
  kind: ScoreKind;
  /** Of the classes without the background, or of the regions. */
  names: readonly string[];
  members: number;
  /** Volume of a voxel of the net's grid. */
  voxelMm3: number;
}

type Scores = Float32Array | Float64Array;

export interface UncertaintyMeter {
  /** A member's probabilities of the next plane, [K, voxels] (background first) or [R, voxels]: all members, then the mean. */
  member(probabilities: Scores): void;
  /** Mean of the members' probabilities of the plane. */
  mean(probabilities: Scores): void;
  result(): Uncertainty;
}

/** Sums up the uncertainty of a case plane by plane. Memory: a few planes for each member. */
export function createUncertaintyMeter(options: UncertaintyOptions): UncertaintyMeter {
  const { kind, names, members, voxelMm3 } = options;
  const classes = kind === "classes";
  /** Scores of the first foreground class. */
  const first = classes ? 1 : 0;
  const scores = names.length + first;
  let voxels = 0;
  let entropy = 0;
  let foreground = 0;
  let foregroundEntropy = 0;
  const soft = names.map(() => 0);
  const hard = names.map(() => 0);
  const inside = names.map(() => 0);
  /** Of the members of this plane: which scores win, and sums of their squares. */
  let masks: Uint8Array[] = [];
  let squares: Float64Array | null = null;
  const alone = Array.from({ length: members }, () => names.map(() => 0));
  const pairs = Array.from({ length: (members * (members - 1)) / 2 }, () => names.map(() => 0));
  let between = 0;
  let total = 0;

  /** A byte a voxel: the class that wins (the first of equals), or a bit for each region above 0.5. */
  function winners(probabilities: Scores): Uint8Array {
    const n = probabilities.length / scores;
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      if (classes) {
        let best = probabilities[i];
        for (let k = 1, at = i + n; k < scores; k++, at += n) {
          if (probabilities[at] <= best) continue;
          best = probabilities[at];
          out[i] = k;
        }
      } else for (let r = 0, at = i; r < scores; r++, at += n) if (probabilities[at] > 0.5) out[i] |= 1 << r;
    }
    return out;
  }

  const has = (winner: number, name: number): boolean => (classes ? winner === name + 1 : ((winner >> name) & 1) === 1);

  return {
    member(probabilities) {
      if (members < 2) return;
      masks.push(winners(probabilities));
      squares ??= new Float64Array(probabilities.length);
      for (let i = 0; i < squares.length; i++) squares[i] += probabilities[i] ** 2;
    },
    mean(probabilities) {
      const n = probabilities.length / scores;
      const won = winners(probabilities);
      voxels += n;
      for (let i = 0; i < n; i++) {
        let here = 0;
        for (let at = i; at < probabilities.length; at += n) {
          const p = probabilities[at];
          here -= entropyTerm(p);
          if (!classes) here -= entropyTerm(1 - p);
        }
        if (!classes) here /= scores;
        entropy += here;
        if (won[i] === 0) continue;
        foreground++;
        foregroundEntropy += here;
      }
      for (let c = 0; c < names.length; c++) {
        const plane = probabilities.subarray((c + first) * n, (c + first + 1) * n);
        for (let i = 0; i < n; i++) {
          soft[c] += plane[i];
          if (!has(won[i], c)) continue;
          hard[c]++;
          inside[c] += plane[i];
        }
      }
      if (!squares) return;
      for (let i = 0; i < squares.length; i++) {
        const p = probabilities[i];
        between += squares[i] / members - p * p;
        total += p * (1 - p);
      }
      let pair = 0;
      for (const [a, mask] of masks.entries()) {
        for (const [b, other] of masks.entries()) {
          if (b > a) continue;
          const counts = b === a ? alone[a] : pairs[pair++];
          for (let i = 0; i < n; i++) {
            if (mask[i] === 0 || other[i] === 0) continue;
            for (let c = 0; c < names.length; c++) if (has(mask[i], c) && has(other[i], c)) counts[c]++;
          }
        }
      }
      masks = [];
      squares = null;
    },
    result() {
      const ml = voxelMm3 / 1000;
      const pairDice = names.map((_, c) => {
        let sum = 0;
        let pair = 0;
        for (let a = 0; a < members; a++) {
          for (let b = 0; b < a; b++) {
            sum += diceOf({ predicted: alone[a][c], truth: alone[b][c], both: pairs[pair++][c] });
          }
        }
        return sum / pair;
      });
      const disagreement: Disagreement = {
        members,
        pairDice,
        meanPairDice: pairDice.reduce((sum, dice) => sum + dice, 0) / names.length,
        // Rounding may leave a hair below 0 where members agree.
        varianceShare: total > 0 ? Math.max(0, between / total) : 0,
      };
      return {
        entropy: entropy / voxels,
        foregroundEntropy: foreground > 0 ? foregroundEntropy / foreground : null,
        largestEntropy: Math.log(classes ? scores : 2),
        classes: names.map((name, c) => ({
          name,
          ml: hard[c] * ml,
          softMl: soft[c] * ml,
          probability: hard[c] > 0 ? inside[c] / hard[c] : null,
        })),
        ...(members > 1 ? { disagreement } : {}),
      };
    },
  };
}

/** p log p, 0 at 0. */
function entropyTerm(p: number): number {
  return p > 0 ? p * Math.log(p) : 0;
}
