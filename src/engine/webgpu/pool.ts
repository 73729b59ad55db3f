import type { Kernel, Params } from "./kernel.ts";
import { affineCode, formula, sourceBindings, sourceParams, valueCode } from "./source.ts";

/** Sizes are the output's. */
const params: Params = {
  ...{ first: "u32", D: "u32", H: "u32", W: "u32", G: "u32", fd: "u32", fh: "u32", fw: "u32", yAt: "u32" },
  ...sourceParams("x"),
};

/** The window of output element `e` of a part. */
const start = `let at = P.first + e;
let w = at % P.W;
let h = (at / P.W) % P.H;
let g = (at / (P.W * P.H)) % P.G;
let p = at / (P.W * P.H * P.G);
let n = p / P.D;
let taps = P.fd * P.fh * P.fw;
let row = P.W * P.fw;
let corner = ((p * P.fd * P.G + g) * P.H * P.fh + h * P.fh) * row + w * P.fw;
${affineCode("x", "P.G")}
var top = vec4f();`;

/** Walks over the window in the order of D, H, W; `i` is the element's index. */
const window = (body: string): string => `for (var t = 0u; t < taps; t++) {
  let i = corner + t / (P.fh * P.fw) * P.G * P.H * P.fh * row + (t / P.fw) % P.fh * row + t % P.fw;
  ${body}
}`;

export const poolKernel: Omit<Kernel, "workgroup"> = {
  label: "max pool",
  params,
  bindings: { ...sourceBindings("x"), y: { type: "array<vec4f>", write: true } },
  declarations: formula,
  body: `${start}
${window(`let v = ${valueCode("x", "i")}; top = select(top, v, (v > top) | vec4<bool>(t == 0u));`)}
y[at - P.yAt] = top;`,
};

/** The gradient goes to each window's first maximum, in the order of D, H, W (PyTorch's rule); the maximum is found again. */
export const poolBackKernel: Omit<Kernel, "workgroup"> = {
  label: "max pool, gradient",
  params: { ...params, add: "u32", dxAt: "u32" },
  bindings: { ...sourceBindings("x"), y: { type: "array<vec4f>" }, dx: { type: "array<vec4f>", write: true } },
  declarations: formula,
  body: `${start}
var winner = vec4u();
${window(`let v = ${valueCode("x", "i")};
  let larger = (v > top) | vec4<bool>(t == 0u);
  winner = select(winner, vec4u(t), larger);
  top = select(top, v, larger);`)}
let gradient = y[at - P.yAt];
${window(`let part = select(vec4f(), gradient, winner == vec4u(t));
  if (P.add == 0u) { dx[i - P.dxAt] = part; } else { dx[i - P.dxAt] += part; }`)}`,
};
