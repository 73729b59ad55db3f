import type { Vec3 } from "../../volume/volume.ts";
import { activation, type Kernel } from "./kernel.ts";
import { type Form, sourceBindings, sourceCode, sourceParams } from "./source.ts";

/** Indices of the window of an output element, in the order of D, H, W; sizes are the output's. */
function windowOf([fd, fh, fw]: Vec3): string[] {
  return Array.from({ length: fd * fh * fw }, (_, i) => {
    const [a, b, c] = [Math.floor(i / (fh * fw)), Math.floor(i / fw) % fh, i % fw];
    return `(((p * ${fd}u + ${a}u) * P.G + g) * P.H * ${fh}u + h * ${fh}u + ${b}u) * P.W * ${fw}u + w * ${fw}u + ${c}u`;
  });
}

/** Finds the window's maximum, `top`; of equal ones the first. `also` is done wherever a larger one is found. */
function findTop(form: Form, factor: Vec3, also: (tap: number) => string): string {
  const { at, affine } = sourceCode("x", form);
  const taps = windowOf(factor).map(
    (index, tap) => `{ let i = ${index}; let v = ${at("i")};
let larger = ${tap === 0 ? "vec4<bool>(true)" : "v > top"}; ${also(tap)} top = select(top, v, larger); }`,
  );
  return `let at = P.first + e;
let w = at % P.W;
let h = (at / P.W) % P.H;
let g = (at / (P.W * P.H)) % P.G;
let p = at / (P.W * P.H * P.G);
let n = p / P.D;
${affine("P.G")}
var top = vec4f();
${taps.join("\n")}`;
}

const params = { first: "u32", D: "u32", H: "u32", W: "u32", G: "u32", yAt: "u32" } as const;

export function poolKernel(form: Form, factor: Vec3): Omit<Kernel, "workgroup"> {
  return {
    label: `max pool ${factor.join("x")}`,
    params: { ...params, ...sourceParams("x") },
    bindings: { ...sourceBindings("x", form), y: { type: "array<vec4f>", write: true } },
    declarations: activation,
    body: `${findTop(form, factor, () => "")}
y[at - P.yAt] = top;`,
  };
}

/** The gradient goes to each window's first maximum, in the order of D, H, W (PyTorch's rule); the maximum is found again. */
export function poolBackKernel(form: Form, factor: Vec3, add: boolean): Omit<Kernel, "workgroup"> {
  const give = windowOf(factor).map(
    (index, tap) =>
      `dx[${index} - P.dxAt] ${add ? "+=" : "="} select(vec4f(), gradient, winner == vec4u(${tap}u));`,
  );
  return {
    label: `max pool ${factor.join("x")}, gradient`,
    params: { ...params, ...sourceParams("x"), dxAt: "u32" },
    bindings: {
      ...sourceBindings("x", form),
      y: { type: "array<vec4f>" },
      dx: { type: "array<vec4f>", write: true },
    },
    declarations: activation,
    body: `var winner = vec4u();
${findTop(form, factor, (tap) => `winner = select(winner, vec4u(${tap}u), larger);`)}
let gradient = y[at - P.yAt];
${give.join("\n")}`,
  };
}
