import { type Random, random } from "../util/random.ts";
import { type Vec3, type Volume, voxelCount } from "../volume/volume.ts";

export interface PhantomOptions {
  /** Voxels along D, H, W at 1 mm; by default each scan has its own, about 40 x 56 x 40. */
  shape?: Vec3;
  /** Standard deviation of the noise as a share of white matter's brightness; by default each scan has its own. */
  noise?: number;
}

export interface Phantom {
  image: Volume<Float32Array>;
  /** 0 background, 1 front part, 2 back part. */
  label: Volume<Uint8Array>;
}

type Field = (d: number, h: number, w: number) => number;

interface Structure {
  /** Points of the centre line from back to front, mm from the middle of the scan, with the radius at each. */
  line: { centre: Vec3; radius: number }[];
  /** Index in `line` where the front part begins. */
  split: number;
  /** Rows are the structure's own axes; the first is the one along which it is flattened. */
  axes: [Vec3, Vec3, Vec3];
  flatness: number;
}

const linePoints = 40;

/**
 * A made-up scan that looks a little like a T1-weighted MR image of one side of the temporal lobe: a curved bean of grey
 * matter in two touching parts (as a hippocampus is divided), between white matter, folded cortex of the same brightness,
 * a neighbour that touches the front end, and fluid. Size, bend, turn, contrast, shading and noise differ from scan to
 * scan. It is drawn at twice the resolution and averaged, so edges are partial-volume voxels; noise is Rician, as in MR
 * magnitude images (Gudbjartsson and Patz 1995). The outline drawn in `label` wavers a little against the tissue, as a
 * rater's does. Same `seed` and `index`, same scan.
 */
export function makePhantom(seed: number, index: number, options: PhantomOptions = {}): Phantom {
  const rng = random(seed, index, 0x70686e);
  const varied = (mean: number, spread: number): number => Math.round(mean + rng.uniform(-spread, spread));
  const own: Vec3 = [varied(40, 4), varied(56, 5), varied(40, 4)];
  const shape = options.shape ?? own;
  const ownNoise = rng.uniform(0.04, 0.075);
  const noise = options.noise ?? ownNoise;

  const structure = makeStructure(rng);
  const tissue = makeTissue(rng, structure);
  const rater = smoothField(rng, 7, 0.25);
  const bias = biasField(rng, shape);
  const brightness = rng.uniform(80, 900);

  const image = new Float32Array(voxelCount(shape));
  const label = new Uint8Array(image.length);
  for (let d = 0, i = 0; d < shape[0]; d++) {
    for (let h = 0; h < shape[1]; h++) {
      for (let w = 0; w < shape[2]; w++, i++) {
        let sum = 0;
        let front = 0;
        let back = 0;
        const middle = nearest(structure, d - (shape[0] - 1) / 2, h - (shape[1] - 1) / 2, w - (shape[2] - 1) / 2);
        for (let corner = 0; corner < 8; corner++) {
          const z = d + ((corner >> 2) & 1 ? 0.25 : -0.25) - (shape[0] - 1) / 2;
          const y = h + ((corner >> 1) & 1 ? 0.25 : -0.25) - (shape[1] - 1) / 2;
          const x = w + (corner & 1 ? 0.25 : -0.25) - (shape[2] - 1) / 2;
          const near = middle.distance > 4 ? middle : nearest(structure, z, y, x);
          sum += tissue(near, z, y, x);
          if (near.distance < 2 && near.distance + rater(z, y, x) < 0) {
            if (near.point >= structure.split) front++;
            else back++;
          }
        }
        label[i] = front + back <= 4 ? 0 : front >= back ? 1 : 2;
        const signal = (sum / 8) * bias(d, h, w);
        image[i] = brightness * Math.hypot(signal + noise * rng.normal(), noise * rng.normal());
      }
    }
  }
  const affine = Float64Array.of(1, 0, 0, varied(20, 6), 0, 1, 0, varied(-30, 6), 0, 0, 1, varied(-25, 6), 0, 0, 0, 1);
  return { image: { data: image, shape, affine }, label: { data: label, shape, affine } };
}

function makeStructure(rng: Random): Structure {
  const scale = rng.uniform(0.86, 1.16);
  const half = 17 * scale;
  const thickness = scale * rng.uniform(0.9, 1.1);
  const bend = rng.uniform(4, 10) * scale;
  const sway = rng.uniform(-3, 3);
  const shift = rng.uniform(-2.5, 2.5);
  const turn = rotation(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2));
  const line = Array.from({ length: linePoints }, (_, i) => {
    const t = (2 * i) / (linePoints - 1) - 1;
    const centre = apply(turn, [bend * (t * t - 0.35) + shift, half * t, sway * Math.sin(2.2 * t) + shift]);
    // thick head at the front, slim tail at the back, rounded at both ends
    return { centre, radius: thickness * (5.4 + 1.6 * t) * Math.sqrt(Math.max(0.12, 1 - t ** 6)) };
  });
  const split = Math.round(linePoints * rng.uniform(0.52, 0.57));
  return { line, split, axes: turn, flatness: rng.uniform(1.1, 1.4) };
}

interface Near {
  /** About the mm outside the surface; negative inside. */
  distance: number;
  /** Index of the nearest point of the centre line. */
  point: number;
}

function nearest(structure: Structure, z: number, y: number, x: number): Near {
  const axis = structure.axes;
  let best = Number.POSITIVE_INFINITY;
  let point = 0;
  for (let i = 0; i < structure.line.length; i++) {
    const { centre, radius } = structure.line[i];
    const dz = z - centre[0];
    const dy = y - centre[1];
    const dx = x - centre[2];
    const flat = (dz * axis[0][0] + dy * axis[1][0] + dx * axis[2][0]) ** 2 * (structure.flatness ** 2 - 1);
    const distance = Math.sqrt(dz * dz + dy * dy + dx * dx + flat) - radius;
    if (distance < best) {
      best = distance;
      point = i;
    }
  }
  return { distance: best, point };
}

/** Brightness of the tissue at a place, white matter being 1. */
function makeTissue(rng: Random, structure: Structure): (near: Near, z: number, y: number, x: number) => number {
  const grey = rng.uniform(0.62, 0.74);
  const fluid = rng.uniform(0.15, 0.3);
  const folds = smoothField(rng, 16, 1);
  const gaps = smoothField(rng, 9, 1);
  const own = grey * rng.uniform(0.96, 1.04);
  const inner = smoothField(rng, 8, 0.025);
  const rim = rng.uniform(0.5, 1.1);
  // a neighbour of nearly the same brightness (as the amygdala is) that touches the front end
  const end = structure.line[structure.line.length - 1];
  const neighbour: Vec3 = [
    end.centre[0] + rng.uniform(2, 5),
    end.centre[1] + rng.uniform(4, 7),
    end.centre[2] + rng.uniform(-4, 4),
  ];
  const reach = rng.uniform(5, 7);
  const neighbourGrey = grey * (1 + (rng.chance(0.5) ? 1 : -1) * rng.uniform(0.05, 0.12));
  return (near, z, y, x) => {
    if (near.distance < 0) return own + inner(z, y, x);
    const gap = gaps(z, y, x);
    const away = (z - neighbour[0]) ** 2 + (y - neighbour[1]) ** 2 + (x - neighbour[2]) ** 2;
    if (away < (reach + gap) ** 2) return neighbourGrey;
    // a thin white rim, open in places
    if (near.distance < rim && gap < 0.9) return 1;
    const fold = folds(z, y, x);
    if (near.distance < 3 && gap < -0.9) return fluid;
    if (fold < -1.3) return fluid;
    return Math.abs(fold) < 0.45 ? grey : 1;
  };
}

const gridStep = 2;
const gridSize = 42;

/**
 * A sum of plane waves of about the given wavelength (mm) with zero mean and the given standard deviation, on a grid of
 * 2 mm over the cube of 41 mm to each side of the middle, linear between its points: cosines at every place would cost a second a scan.
 */
function smoothField(rng: Random, wavelength: number, deviation: number): Field {
  const waveCount = 8;
  const amplitude = deviation * Math.sqrt(2 / waveCount);
  const n = gridSize;
  const grid = new Float32Array(n ** 3);
  for (let wave = 0; wave < waveCount; wave++) {
    const direction = [rng.normal(), rng.normal(), rng.normal()];
    const length = (Math.hypot(...direction) || 1) * wavelength * rng.uniform(0.75, 1.5);
    const phase = rng.uniform(0, 2 * Math.PI);
    const [kd, kh, kw] = direction.map((v) => (2 * Math.PI * gridStep * v) / length);
    const cosW = Float64Array.from({ length: n }, (_, w) => amplitude * Math.cos(kw * w));
    const sinW = Float64Array.from({ length: n }, (_, w) => amplitude * Math.sin(kw * w));
    for (let d = 0, i = 0; d < n; d++) {
      for (let h = 0; h < n; h++) {
        const cosRow = Math.cos(kd * d + kh * h + phase);
        const sinRow = Math.sin(kd * d + kh * h + phase);
        for (let w = 0; w < n; w++, i++) grid[i] += cosRow * cosW[w] - sinRow * sinW[w];
      }
    }
  }
  const at = (v: number): number => Math.min(n - 1.001, Math.max(0, v / gridStep + (n - 1) / 2));
  return (z, y, x) => {
    const pd = at(z);
    const ph = at(y);
    const pw = at(x);
    const [d, h, w] = [Math.floor(pd), Math.floor(ph), Math.floor(pw)];
    const i = (d * n + h) * n + w;
    const [fd, fh, fw] = [pd - d, ph - h, pw - w];
    const j = i + n * n;
    const near = mix(mix(grid[i], grid[i + 1], fw), mix(grid[i + n], grid[i + n + 1], fw), fh);
    const far = mix(mix(grid[j], grid[j + 1], fw), mix(grid[j + n], grid[j + n + 1], fw), fh);
    return mix(near, far, fd);
  };
}

function mix(a: number, b: number, share: number): number {
  return a + share * (b - a);
}

/** Slow shading across the scan, within about 20 %, as a surface coil gives. */
function biasField(rng: Random, shape: Vec3): Field {
  const c = Array.from({ length: 6 }, () => rng.uniform(-0.1, 0.1));
  return (d, h, w) => {
    const [z, y, x] = [(2 * d) / shape[0] - 1, (2 * h) / shape[1] - 1, (2 * w) / shape[2] - 1];
    return Math.exp(c[0] * z + c[1] * y + c[2] * x + c[3] * z * y + c[4] * y * x + c[5] * x * z);
  };
}

/** Turns by angles (radians) about the D, H and W axes, one after the other; rows of the matrix. */
function rotation(a: number, b: number, c: number): [Vec3, Vec3, Vec3] {
  const [ca, sa, cb, sb, cc, sc] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), Math.cos(c), Math.sin(c)];
  return [
    [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
    [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
    [-sb, sa * cb, ca * cb],
  ];
}

function apply(matrix: [Vec3, Vec3, Vec3], v: Vec3): Vec3 {
  return matrix.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as Vec3;
}
