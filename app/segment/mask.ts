import type { Vec3, Volume } from "../../src/volume/volume.ts";

/** One stroke: where values changed, and from and to what. */
interface Stroke {
  places: number[];
  before: number[];
  after: number;
}

/** A label map that is drawn on, with every stroke undoable. */
export interface Mask {
  /** On the canonical grid; changed in place. */
  readonly volume: Volume<Uint8Array>;
  /** Starts a stroke that writes `value`. */
  begin(value: number): void;
  /**
   * Fills a disc of a slice: `axis` is the one across it (0 D, 1 H, 2 W), `radius` in mm about the middle of a voxel. False when nothing
   * changed.
   */
  disc(centre: Vec3, axis: number, radius: number): boolean;
  /** Ends the stroke; false when it changed nothing. */
  end(): boolean;
  undo(): boolean;
  redo(): boolean;
  /** Whether a stroke has begun and not ended. */
  readonly drawing: boolean;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  /** Whether anything is drawn that is not undone. */
  readonly edited: boolean;
}

/** Strokes that can be taken back. */
export const mostStrokes = 200;

/** Makes a label map drawable; voxel sizes in mm along D, H, W. */
export function createMask(volume: Volume<Uint8Array>, spacing: Vec3): Mask {
  const { data, shape } = volume;
  const [, H, W] = shape;
  const done: Stroke[] = [];
  const undone: Stroke[] = [];
  let stroke: Stroke | null = null;
  let forgotten = false;

  const write = (at: number): void => {
    if (!stroke || data[at] === stroke.after) return;
    stroke.places.push(at);
    stroke.before.push(data[at]);
    data[at] = stroke.after;
  };
  return {
    volume,
    begin(value) {
      stroke = { places: [], before: [], after: value };
    },
    disc(centre, axis, radius) {
      const before = stroke?.places.length;
      const reach = spacing.map((mm, a) => (a === axis ? 0 : Math.floor(radius / mm)));
      for (let d = -reach[0]; d <= reach[0]; d++) {
        for (let h = -reach[1]; h <= reach[1]; h++) {
          for (let w = -reach[2]; w <= reach[2]; w++) {
            const [z, y, x] = [centre[0] + d, centre[1] + h, centre[2] + w];
            if (z < 0 || y < 0 || x < 0 || z >= shape[0] || y >= H || x >= W) continue;
            if (Math.hypot(d * spacing[0], h * spacing[1], w * spacing[2]) <= radius) write((z * H + y) * W + x);
          }
        }
      }
      return stroke?.places.length !== before;
    },
    end() {
      const changed = stroke !== null && stroke.places.length > 0;
      if (stroke && changed) {
        done.push(stroke);
        if (done.length > mostStrokes) {
          done.shift();
          forgotten = true;
        }
        undone.length = 0;
      }
      stroke = null;
      return changed;
    },
    undo() {
      const last = done.pop();
      if (!last) return false;
      for (let i = last.places.length - 1; i >= 0; i--) data[last.places[i]] = last.before[i];
      undone.push(last);
      return true;
    },
    redo() {
      const next = undone.pop();
      if (!next) return false;
      for (const at of next.places) data[at] = next.after;
      done.push(next);
      return true;
    },
    get drawing() {
      return stroke !== null;
    },
    get canUndo() {
      return done.length > 0;
    },
    get canRedo() {
      return undone.length > 0;
    },
    get edited() {
      return forgotten || done.length > 0;
    },
  };
}

/** Voxels of each value from 0 to 255. */
export function countValues(data: Uint8Array): Float64Array {
  const counts = new Float64Array(256);
  for (const value of data) counts[value]++;
  return counts;
}
