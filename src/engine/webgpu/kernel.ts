/** Scalars that a kernel reads: sizes, offsets and slopes of one dispatch. */
export type Params = Record<string, "u32" | "f32">;

/** A storage buffer that a kernel reads or writes. */
export interface Binding {
  /** WGSL type, as in "array<vec4f>". */
  type: string;
  write?: boolean;
}

/** A compute shader and what it is given. Kernels of equal code share one pipeline. */
export interface Kernel {
  label: string;
  /** Invocations of a workgroup along x, y and z. */
  workgroup: [number, number, number];
  params: Params;
  bindings: Record<string, Binding>;
  /** Module-scope WGSL: functions, constants, workgroup memory. */
  declarations?: string;
  /** The body of main; it sees `wg`, `groups` (how many), `lid` and `li` (index in the workgroup), and the params as `P.name`. */
  body: string;
}

/** Of the linear kernels, one invocation an element. */
export const LINEAR = 64;
/** Workgroups along x before a linear dispatch goes on along y. */
const ROW = 32768;

/** The module's text: parameters at binding 0, then the storage buffers in their order. */
export function shaderCode({ workgroup, params, bindings, declarations = "", body }: Kernel): string {
  const fields = Object.entries(params).map(([name, type]) => `  ${name}: ${type},`);
  const buffers = Object.entries(bindings).map(
    ([name, { type, write }], i) =>
      `@group(0) @binding(${i + 1}) var<storage, ${write ? "read_write" : "read"}> ${name}: ${type};`,
  );
  return `struct Parameters {
${fields.join("\n")}
}
@group(0) @binding(0) var<uniform> P: Parameters;
${buffers.join("\n")}
${declarations}
@compute @workgroup_size(${workgroup.join(", ")})
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lid: vec3u,
  @builtin(local_invocation_index) li: u32,
) {
${body}
}
`;
}

/** A kernel with one invocation for each of `P.count` elements; its body sees the element's index as `e`. */
export function linearKernel(kernel: Omit<Kernel, "workgroup">): Kernel {
  const body = `let e = (wg.y * groups.x + wg.x) * ${LINEAR}u + li;
if (e >= P.count) { return; }
${kernel.body}`;
  return { ...kernel, workgroup: [LINEAR, 1, 1], params: { count: "u32", ...kernel.params }, body };
}

/** Workgroups of a linear dispatch over `count` elements. */
export function linearGroups(count: number): [number, number, number] {
  const groups = Math.ceil(count / LINEAR);
  return [Math.min(groups, ROW), Math.ceil(groups / ROW), 1];
}

/** The values of a kernel's parameters, as its uniform buffer holds them. */
export function packParams(params: Params, values: Record<string, number>): ArrayBuffer {
  const names = Object.keys(params);
  const data = new DataView(new ArrayBuffer(Math.ceil(names.length / 4) * 16));
  names.forEach((name, i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`parameter ${name} has no value`);
    if (params[name] === "f32") data.setFloat32(4 * i, value, true);
    else data.setUint32(4 * i, value, true);
  });
  return data.buffer;
}
