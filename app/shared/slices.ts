import type { Vec3 } from "../../src/volume/volume.ts";
import type { Scene } from "../runs/scan-worker.ts";
import { el } from "./dom.ts";
import {
  cssColour,
  extraColour,
  fillOf,
  type Look,
  layer,
  matchScreen,
  missedColour,
  otherColour,
  type Place,
  placeOf,
  type SceneLabel,
} from "./paint.ts";
import { borderSegments, type Plane, pickPlane, planes } from "./plane.ts";

export interface SliceViewer {
  element: HTMLElement;
  /** `stay`: at the slices that are shown now. */
  show(scene: Scene, labels: readonly SceneLabel[], stay?: boolean): void;
  /** Takes the scene away. */
  clear(): void;
  /** Whether it knew the key. */
  key(event: KeyboardEvent): boolean;
}

/** Slices of a case in three planes with prediction and truth over them. Wheel, arrow keys and clicks move; [ ] and space change the masks. */
export function sliceViewer(): SliceViewer {
  let scene: Scene | null = null;
  let labels: readonly SceneLabel[] = [];
  let at: Vec3 = [0, 0, 0];
  let active = 0;
  const look: Look = { fill: "prediction", outline: true, visible: true, opacity: 0.45 };

  const views = planes.map((plane) => {
    const canvas = el("canvas", { tabIndex: 0, aria: { label: `${plane.name} slice`, role: "img" } });
    const note = el("span", { className: "note" });
    const pane = el("div", { className: "pane", data: { plane: plane.name } }, canvas, note);
    return { plane, canvas, note, pane };
  });
  const opacity = el("input", {
    type: "range",
    min: "0",
    max: "1",
    step: "0.05",
    aria: { label: "Opacity of the masks" },
  });
  const fills = (["prediction", "difference"] as const).map((name) =>
    el(
      "button",
      { type: "button", on: { click: () => change(() => (look.fill = name)) } },
      name === "prediction" ? "Prediction" : "Difference",
    ),
  );
  const outline = el(
    "button",
    { type: "button", on: { click: () => change(() => (look.outline = !look.outline)) } },
    "Truth outline",
  );
  const visible = el(
    "button",
    { type: "button", title: "Space", on: { click: () => change(() => (look.visible = !look.visible)) } },
    "Masks",
  );
  const legend = el("div", { className: "mask-legend small" });
  const controls = el(
    "div",
    { className: "pane controls" },
    el("div", { className: "row" }, el("div", { className: "group" }, ...fills), outline, visible),
    el("label", { className: "field" }, el("span", {}, "Opacity"), opacity),
    legend,
    el(
      "p",
      { className: "small soft keys" },
      ...[
        el("kbd", {}, "\u2191"),
        el("kbd", {}, "\u2193"),
        " or wheel: slice  ",
        el("kbd", {}, "["),
        el("kbd", {}, "]"),
        " opacity  ",
      ],
      ...[el("kbd", {}, "Space"), " masks  ", el("kbd", {}, "N"), el("kbd", {}, "P"), " next, previous case"],
    ),
  );
  const element = el("div", { className: "slices" }, ...views.map(({ pane }) => pane), controls);

  opacity.addEventListener("input", () => change(() => (look.opacity = Number(opacity.value))));

  function change(act: () => void): void {
    act();
    draw();
  }
  function move(axis: number, by: number): void {
    if (!scene) return;
    at[axis] = Math.min(scene.shape[axis] - 1, Math.max(0, at[axis] + by));
    draw();
  }

  let waiting = false;
  function draw(): void {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint();
    });
  }
  function paint(): void {
    fills[0].ariaPressed = String(look.fill === "prediction");
    fills[1].ariaPressed = String(look.fill === "difference");
    fills[1].disabled = !scene?.truth || !scene.prediction;
    outline.ariaPressed = String(look.outline);
    outline.disabled = !scene?.truth;
    visible.ariaPressed = String(look.visible);
    opacity.value = String(look.opacity);
    paintLegend();
    // Before the canvases are measured.
    element.classList.toggle("flat", scene?.shape[0] === 1);
    for (const [index, { plane, canvas, note, pane }] of views.entries()) {
      pane.classList.toggle("active", index === active);
      const context = canvas.getContext("2d")!;
      matchScreen(canvas);
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (!scene) continue;
      note.textContent = `${plane.name} ${at[plane.axis] + 1} / ${scene.shape[plane.axis]}`;
      canvas.ariaLabel = `${plane.name} slice ${at[plane.axis] + 1} of ${scene.shape[plane.axis]}`;
      paintPlane(context, scene, plane);
    }
  }
  function paintLegend(): void {
    const differences = [
      { colour: missedColour, name: "missed" },
      { colour: extraColour, name: "too much" },
      ...(labels.length > 1 ? [{ colour: otherColour, name: "another label" }] : []),
    ];
    const differ = look.fill === "difference" && scene?.truth && scene.prediction;
    const rows = differ
      ? differences.map(({ colour, name }) => legendEntry(`rgb(${colour.join(" ")})`, name))
      : labels.map(({ name, colour }) => legendEntry(cssColour(colour), name));
    legend.replaceChildren(...rows);
  }

  function paintPlane(context: CanvasRenderingContext2D, shown: Scene, plane: Plane): void {
    const place = placeOf(context.canvas, shown, plane);
    const { columns, rows, x, y, width, height } = place;
    const slice = at[plane.axis];
    const grey = pickPlane(shown.image, shown.shape, plane, slice);
    const pixels = new Uint32Array(grey.length);
    for (let i = 0; i < grey.length; i++) pixels[i] = 0xff000000 | (grey[i] * 0x010101);
    context.imageSmoothingEnabled = true;
    context.drawImage(layer(pixels, columns, rows), x, y, width, height);
    const truth = shown.truth && pickPlane(shown.truth, shown.shape, plane, slice);
    const prediction = shown.prediction && pickPlane(shown.prediction, shown.shape, plane, slice);
    if (look.visible) {
      context.imageSmoothingEnabled = false;
      if (prediction)
        context.drawImage(layer(fillOf(truth, prediction, labels, look), columns, rows), x, y, width, height);
      if (look.outline && truth) strokeBorders(context, truth, place);
    }
    crosshair(context, place, plane);
  }

  function strokeBorders(context: CanvasRenderingContext2D, map: Uint8Array, place: Place): void {
    const { columns, rows, x, y, width, height } = place;
    context.lineWidth = Math.max(1, devicePixelRatio * 1.4);
    context.lineCap = "square";
    for (const { value, colour } of labels) {
      context.strokeStyle = cssColour(colour);
      context.beginPath();
      for (const [x0, y0, x1, y1] of borderSegments(map, columns, rows, value)) {
        context.moveTo(x + (x0 * width) / columns, y + (y0 * height) / rows);
        context.lineTo(x + (x1 * width) / columns, y + (y1 * height) / rows);
      }
      context.stroke();
    }
  }

  /** Where the other planes cut this one, and which way is which. */
  function crosshair(
    context: CanvasRenderingContext2D,
    { columns, rows, x, y, width, height }: Place,
    plane: Plane,
  ): void {
    const ratio = devicePixelRatio;
    const across = x + ((at[plane.across] + 0.5) * width) / columns;
    const down = y + ((rows - at[plane.up] - 0.5) * height) / rows;
    context.strokeStyle = "rgb(255 255 255 / 28%)";
    context.lineWidth = ratio;
    context.beginPath();
    context.moveTo(across, y);
    context.lineTo(across, y + height);
    context.moveTo(x, down);
    context.lineTo(x + width, down);
    context.stroke();
    context.fillStyle = "rgb(255 255 255 / 75%)";
    context.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    const { height: whole, width: wide } = context.canvas;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(plane.letters[0], 6 * ratio, whole / 2);
    context.textAlign = "right";
    context.fillText(plane.letters[1], wide - 6 * ratio, whole / 2);
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(plane.letters[2], wide / 2, 6 * ratio);
  }

  for (const [index, { plane, canvas }] of views.entries()) {
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        active = index;
        move(plane.axis, event.deltaY > 0 ? -1 : 1);
      },
      { passive: false },
    );
    const point = (event: PointerEvent): void => {
      if (!scene) return;
      active = index;
      const { columns, rows, x, y, width, height } = placeOf(canvas, scene, plane);
      const column = Math.floor(((event.offsetX * devicePixelRatio - x) / width) * columns);
      const row = Math.floor(((event.offsetY * devicePixelRatio - y) / height) * rows);
      at[plane.across] = Math.min(columns - 1, Math.max(0, column));
      at[plane.up] = Math.min(rows - 1, Math.max(0, rows - 1 - row));
      draw();
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      point(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) point(event);
    });
    canvas.addEventListener("focus", () => change(() => (active = index)));
  }
  const sizes = new ResizeObserver(draw);
  for (const { pane } of views) sizes.observe(pane);

  const keys: Record<string, () => void> = {
    ArrowUp: () => move(planes[active].axis, 1),
    ArrowRight: () => move(planes[active].axis, 1),
    ArrowDown: () => move(planes[active].axis, -1),
    ArrowLeft: () => move(planes[active].axis, -1),
    PageUp: () => move(planes[active].axis, 10),
    PageDown: () => move(planes[active].axis, -10),
    "[": () => change(() => (look.opacity = Math.max(0, look.opacity - 0.1))),
    "]": () => change(() => (look.opacity = Math.min(1, look.opacity + 0.1))),
    " ": () => change(() => (look.visible = !look.visible)),
  };
  return {
    element,
    show: (next, of, stay = false) => {
      scene = next;
      labels = of;
      if (!stay) at = [...next.start];
      draw();
    },
    clear: () => {
      scene = null;
      draw();
    },
    key: (event) => {
      if (!scene || !Object.hasOwn(keys, event.key)) return false;
      keys[event.key]();
      return true;
    },
  };
}

const legendEntry = (colour: string, name: string): HTMLElement => {
  const swatch = el("span", { className: "swatch" });
  swatch.style.background = colour;
  return el("span", {}, swatch, ` ${name}`);
};
