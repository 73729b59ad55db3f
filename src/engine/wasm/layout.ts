import type { Vec3 } from "../../volume/volume.ts";

/**
 * Where a tensor's numbers lie: [N][D + 2 halo][H + 2][W + 2][P] float32, P = channels padded (to 4, or to 8 above 4), and a zero
 * halo of one voxel (none along D in 2D graphs). So the three taps along W of all channels are one contiguous run.
 */
export interface Layout {
  channels: number;
  /** P. */
  padded: number;
  shape: Vec3;
  haloD: 0 | 1;
  pixelBytes: number;
  rowBytes: number;
  planeBytes: number;
  sampleBytes: number;
  /** Byte offset of the first interior voxel in a sample. */
  interior: number;
}

/** Channels of a tensor that kernels write: whole 128-bit vectors, pairs of them above 4 so that V8 can merge two. */
export function padChannels(channels: number): number {
  return channels <= 4 ? 4 : Math.ceil(channels / 8) * 8;
}

/** `exact` keeps the channels unpadded: for the graph's input, which kernels only read one float at a time. */
export function layoutOf(channels: number, shape: Vec3, haloD: 0 | 1, exact = false): Layout {
  const padded = exact ? channels : padChannels(channels);
  const pixelBytes = padded * 4;
  const rowBytes = (shape[2] + 2) * pixelBytes;
  const planeBytes = (shape[1] + 2) * rowBytes;
  return {
    channels,
    padded,
    shape,
    haloD,
    pixelBytes,
    rowBytes,
    planeBytes,
    sampleBytes: (shape[0] + 2 * haloD) * planeBytes,
    interior: haloD * planeBytes + rowBytes + pixelBytes,
  };
}

/** Layouts with equal keys can share a buffer: their halos coincide and stay zero. */
export function layoutKey(layout: Layout): string {
  return `${layout.padded}:${layout.shape.join("x")}`;
}

/** Copies [N, C, D, H, W] into the laid-out tensor at byte address `base`. */
export function scatter(memory: Float32Array, base: number, layout: Layout, batch: number, values: Float32Array): void {
  const [D, H, W] = layout.shape;
  const { channels: C, padded: P } = layout;
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < C; c++) {
      for (let d = 0; d < D; d++) {
        for (let h = 0; h < H; h++) {
          const from = (((n * C + c) * D + d) * H + h) * W;
          const start = base + n * layout.sampleBytes + layout.interior + d * layout.planeBytes + h * layout.rowBytes;
          const to = start / 4 + c;
          if (P === 1) memory.set(values.subarray(from, from + W), to);
          else for (let w = 0; w < W; w++) memory[to + w * P] = values[from + w];
        }
      }
    }
  }
}

/** Rows of a laid-out tensor, to be copied channel by channel. */
export interface GatherRows {
  /** Byte addresses of the first voxel, and of its first channel in planar order, where rows lie behind each other. */
  from: number;
  to: number;
  planes: number;
  /** Rows of each plane. */
  rows: number;
  width: number;
  channels: number;
  padded: number;
  planeBytes: number;
  rowBytes: number;
  /** From one channel to the next in planar order. */
  channelBytes: number;
}

/** The inverse of {@link scatter} for some rows: planar [N, C, D, H, W] in the same memory. */
export function gatherRows(memory: Float32Array, plan: GatherRows): void {
  for (let row = 0; row < plan.planes * plan.rows; row++) {
    const plane = Math.floor(row / plan.rows);
    const first = (plan.from + plane * plan.planeBytes + (row - plane * plan.rows) * plan.rowBytes) / 4;
    for (let c = 0; c < plan.channels; c++) {
      let to = (plan.to + c * plan.channelBytes) / 4 + row * plan.width;
      const end = to + plan.width;
      for (let from = first + c; to < end; from += plan.padded) memory[to++] = memory[from];
    }
  }
}
