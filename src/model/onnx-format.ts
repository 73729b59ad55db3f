import { bytesField, type Field, floatField, intField, join, messageField, stringField } from "./protobuf.ts";

/*
 * The messages of onnx.proto (github.com/onnx/onnx, IR version 8) that a net needs; numbers are the fields' numbers there.
 */

type Attribute = number | number[] | { float: number };

/** Names of tensors in and out, and the operator's attributes (integers, lists of integers, floats). */
export interface OnnxNode {
  op: string;
  name: string;
  inputs: string[];
  output: string;
  attributes?: Record<string, Attribute>;
}

/** The array says the type: float32, float16 (as its bits), int8 or int64. */
export interface OnnxTensor {
  name: string;
  shape: number[];
  data: Float32Array | Uint16Array | Int8Array | BigInt64Array;
}

/** A float32 tensor of the interface; a text stands for a size that is open until run time. */
export interface OnnxValue {
  name: string;
  shape: (number | string)[];
}

export interface OnnxGraph {
  name: string;
  opset: number;
  producer: string;
  nodes: OnnxNode[];
  initializers: OnnxTensor[];
  input: OnnxValue;
  output: OnnxValue;
  metadata: Record<string, string>;
}

/** TensorProto.DataType. */
export const dataType = { float32: 1, int8: 3, int64: 7, float16: 10 };
const attributeType = { float: 1, int: 2, ints: 7 };

/** ModelProto of one graph. */
export function onnxBytes(graph: OnnxGraph): Uint8Array<ArrayBuffer> {
  return join([
    intField(1, 8),
    stringField(2, graph.producer),
    messageField(7, [
      ...graph.nodes.map((node) => messageField(1, nodeFields(node))),
      stringField(2, graph.name),
      ...graph.initializers.map((tensor) => messageField(5, tensorFields(tensor))),
      messageField(11, valueFields(graph.input)),
      messageField(12, valueFields(graph.output)),
    ]),
    messageField(8, [stringField(1, ""), intField(2, graph.opset)]),
    ...Object.entries(graph.metadata).map(([key, value]) =>
      messageField(14, [stringField(1, key), stringField(2, value)]),
    ),
  ]);
}

/** NodeProto. */
function nodeFields(node: OnnxNode): Field[] {
  return [
    ...node.inputs.map((name) => stringField(1, name)),
    stringField(2, node.output),
    stringField(3, node.name),
    stringField(4, node.op),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) => messageField(5, attributeFields(name, value))),
  ];
}

/** AttributeProto. */
function attributeFields(name: string, value: Attribute): Field[] {
  const type = (number: number): Field => intField(20, number);
  if (typeof value === "number") return [stringField(1, name), intField(3, value), type(attributeType.int)];
  if (Array.isArray(value)) {
    return [stringField(1, name), ...value.map((v) => intField(8, v)), type(attributeType.ints)];
  }
  return [stringField(1, name), floatField(2, value.float), type(attributeType.float)];
}

/** TensorProto with raw little-endian data. */
function tensorFields(tensor: OnnxTensor): Field[] {
  const { type, raw } = rawData(tensor.data);
  return [
    ...tensor.shape.map((n) => intField(1, n)),
    intField(2, type),
    stringField(8, tensor.name),
    bytesField(9, raw),
  ];
}

function rawData(data: OnnxTensor["data"]): { type: number; raw: Uint8Array } {
  const raw = new Uint8Array(data.byteLength);
  const view = new DataView(raw.buffer);
  if (data instanceof Float32Array) {
    for (let i = 0; i < data.length; i++) view.setFloat32(4 * i, data[i], true);
    return { type: dataType.float32, raw };
  }
  if (data instanceof Uint16Array) {
    for (let i = 0; i < data.length; i++) view.setUint16(2 * i, data[i], true);
    return { type: dataType.float16, raw };
  }
  if (data instanceof Int8Array) {
    for (let i = 0; i < data.length; i++) view.setInt8(i, data[i]);
    return { type: dataType.int8, raw };
  }
  for (let i = 0; i < data.length; i++) view.setBigInt64(8 * i, data[i], true);
  return { type: dataType.int64, raw };
}

/** ValueInfoProto holding TypeProto.Tensor with a TensorShapeProto. */
function valueFields(value: OnnxValue): Field[] {
  const dims = value.shape.map((n) => messageField(1, [typeof n === "number" ? intField(1, n) : stringField(2, n)]));
  return [
    stringField(1, value.name),
    messageField(2, [messageField(1, [intField(1, dataType.float32), messageField(2, dims)])]),
  ];
}
