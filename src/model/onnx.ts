import type { ConvNode, Graph } from "../engine/graph.ts";
import { buildGraph, strideOf } from "../net/build.ts";
import type { NetSpec } from "../net/spec.ts";
import type { Vec3 } from "../volume/volume.ts";
import { dataType, type OnnxNode, type OnnxTensor, type OnnxValue, onnxBytes } from "./onnx-format.ts";
import { type LayerOptions, type OnnxLayer, onnxLayers, onnxNorms } from "./onnx-layers.ts";
import type { NormPlace } from "./onnx-norm.ts";
import { spreadSteps } from "./onnx-upconv.ts";
import type { PackedWeight } from "./onnx-weights.ts";
import type { Model } from "./types.ts";

/** The operator set that files are written for. */
export const onnxOpset = 17;

export interface OnnxOptions extends Partial<LayerOptions> {
  /** Fixed D, H, W of the input. Default: open at run time, any multiple of the net's strides. */
  shape?: Vec3;
  /** Fixed batch. Default: open at run time. */
  batch?: number;
  /** Divide by the model's temperature and put softmax (or sigmoid) over the classes at the end. Default: logits. */
  probabilities?: boolean;
  /**
   * How transposed convolutions are written: "transposed" (default) as ConvTranspose, "pointwise" as a convolution with kernel 1, Reshape
   * and Transpose, for runtimes without ConvTranspose in 3D.
   */
  upconv?: LayerOptions["upconv"];
  /** How weights of convolutions are stored; computing stays float32. Default "float32". */
  weights?: LayerOptions["weights"];
  /** Written as metadata_props. */
  metadata?: Record<string, string>;
}

/**
 * A net with its weights as an ONNX file (opset {@link onnxOpset}) for inference: input `image` [N, C, D, H, W], output `logits` or
 * `probabilities` [N, K, D, H, W]. A net without any extent along D becomes a 2D one: [N, C, H, W]. Batch norm is folded where that is
 * exact (see {@link normsOf}), but not beside packed weights: those are rounded as the model has them, so that lunet itself
 * can measure what rounding costs (see roundWeights).
 */
export function toOnnx(
  model: Pick<Model, "net" | "tensors" | "calibration">,
  options: OnnxOptions = {},
): Uint8Array<ArrayBuffer> {
  const { net, tensors, calibration } = model;
  const graph = graphOf(net, options);
  const layers = onnxLayers(graph, tensors, layerOptions(options));
  const flat = isFlatOnnx(net, options);
  const spatial = (v: readonly number[]): number[] => (flat ? v.slice(1) : [...v]);
  const file = createFile();
  const nameOf = (id: number): string => {
    if (id === graph.input) return "image";
    return id === graph.output ? "logits" : graph.tensors[id].name;
  };

  for (const node of graph.nodes) {
    const { name } = node;
    const output = nameOf(node.output);
    let source = nameOf(node.inputs[0]);
    if (node.inputs.length > 1) {
      source = `${name}.concat`;
      const inputs = node.inputs.map(nameOf);
      file.nodes.push({ op: "Concat", name: source, inputs, output: source, attributes: { axis: 1 } });
    }
    if (node.kind === "maxpool") {
      const factor = spatial(node.factor);
      const attributes = { kernel_shape: factor, strides: factor };
      file.nodes.push({ op: "MaxPool", name, inputs: [source], output, attributes });
      continue;
    }
    const layer = layers.get(name)!;
    const [a, b, ...kernel] = layer.shape;
    const inputs = [
      source,
      file.weight(`${name}.weight`, [a, b, ...spatial(kernel)], layer.weight),
      file.tensor(`${name}.bias`, [layer.bias.length], layer.bias),
    ];
    if (node.kind === "conv") {
      const pads = spatial(node.kernel).map((k) => (k - 1) / 2);
      const attributes = { kernel_shape: spatial(node.kernel), pads: [...pads, ...pads] };
      file.chain([{ op: "Conv", name, inputs, attributes }, ...tailSteps(node, layer, file)], output);
    } else if (options.upconv === "pointwise") {
      const { channels } = graph.tensors[node.output];
      const sizes = (of: string, list: number[]): string =>
        file.tensor(of, [list.length], BigInt64Array.from(list, BigInt));
      const steps = spreadSteps(name, channels, spatial(node.factor), sizes);
      file.chain([{ op: "Conv", name, inputs }, ...steps], output);
    } else {
      const factor = spatial(node.factor);
      const attributes = { kernel_shape: factor, strides: factor };
      file.chain([{ op: "ConvTranspose", name, inputs, attributes }], output);
    }
  }
  const outputName = options.probabilities ? "probabilities" : "logits";
  if (options.probabilities) {
    const steps: Step[] = [];
    if (calibration) {
      const temperature = file.tensor("temperature", [1], Float32Array.of(calibration.temperature));
      steps.push({ op: "Div", name: "logits.calibrated", inputs: [temperature] });
    }
    if (net.output === "softmax") steps.push({ op: "Softmax", name: outputName, inputs: [], attributes: { axis: 1 } });
    else steps.push({ op: "Sigmoid", name: outputName, inputs: [] });
    steps[0].inputs.unshift("logits");
    file.chain(steps, outputName);
  }
  const sizes = options.shape ? spatial(options.shape) : spatial([0, 1, 2]).map((axis) => ["D", "H", "W"][axis]);
  const value = (name: string, channels: number): OnnxValue => ({
    name,
    shape: [options.batch ?? "N", channels, ...sizes],
  });
  return onnxBytes({
    name: "lunet",
    opset: onnxOpset,
    producer: "lunet",
    nodes: file.nodes,
    initializers: file.initializers,
    input: value("image", net.inputChannels),
    output: value(outputName, net.outputChannels),
    metadata: options.metadata ?? {},
  });
}

/** Where the file of a net has each batch norm, by the name of its convolution: in that one, in the next layers, or as a node. */
export function normsOf(net: NetSpec, options: OnnxOptions = {}): Map<string, NormPlace> {
  return onnxNorms(graphOf(net, options), layerOptions(options));
}

function graphOf(net: NetSpec, options: OnnxOptions): Graph {
  return buildGraph(net, { batch: options.batch ?? 1, shape: options.shape ?? strideOf(net) });
}

function layerOptions({ upconv = "transposed", weights = "float32" }: OnnxOptions): LayerOptions {
  return { upconv, weights };
}

/** Whether the file has no axis D: neither kernels nor pools reach along it, so slices never meet, and the input has one slice. */
export function isFlatOnnx(net: NetSpec, { shape }: Pick<OnnxOptions, "shape"> = {}): boolean {
  return [...net.kernels, ...net.pools].every((v) => v[0] === 1) && (shape?.[0] ?? 1) === 1;
}

type Step = Omit<OnnxNode, "output">;

/** Gathers a graph's nodes and initializers. */
function createFile() {
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const tensor = (name: string, shape: number[], data: OnnxTensor["data"]): string => {
    initializers.push({ name, shape, data });
    return name;
  };
  return {
    nodes,
    initializers,
    tensor,
    /** Packed weights are unpacked by a node that carries their name. */
    weight(name: string, shape: number[], packed: PackedWeight): string {
      if (packed.type === "float32") return tensor(name, shape, packed.data);
      const inputs = [tensor(`${name}.${packed.type}`, shape, packed.data)];
      if (packed.type === "float16") {
        nodes.push({ op: "Cast", name, inputs, output: name, attributes: { to: dataType.float32 } });
      } else {
        inputs.push(tensor(`${name}.scale`, [packed.scale.length], packed.scale));
        nodes.push({ op: "DequantizeLinear", name, inputs, output: name, attributes: { axis: packed.axis } });
      }
      return name;
    },
    /** Each step reads the one before; the last gives `output`. */
    chain(steps: readonly Step[], output: string): void {
      steps.forEach((step, i) => {
        const before = i === 0 ? [] : [`${steps[i - 1].name}.out`];
        const last = i === steps.length - 1;
        nodes.push({ ...step, inputs: [...before, ...step.inputs], output: last ? output : `${step.name}.out` });
      });
    },
  };
}

/** Activation and norm after a convolution, as far as they are not folded. */
function tailSteps({ tail, name }: ConvNode, layer: OnnxLayer, file: ReturnType<typeof createFile>): Step[] {
  if (!tail) return [];
  const act: Step =
    tail.slope === 0
      ? { op: "Relu", name: `${name}.act`, inputs: [] }
      : { op: "LeakyRelu", name: `${name}.act`, inputs: [], attributes: { alpha: { float: tail.slope } } };
  if (!layer.norm) return [act];
  const norm: Step = {
    op: tail.norm === "batch" ? "BatchNormalization" : "InstanceNormalization",
    name: `${name}.norm`,
    inputs: layer.norm.map((part) => file.tensor(`${name}.${part.name}`, [part.data.length], part.data)),
    attributes: { epsilon: { float: tail.eps } },
  };
  return tail.order === "conv-act-norm" ? [act, norm] : [norm, act];
}
