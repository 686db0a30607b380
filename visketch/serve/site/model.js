// The networks: ONNX Runtime, and what it is told.

import * as ort from "./ort.js";
import { field } from "./field.js";
import { inflated } from "./files.js";

export class Model {
  constructor(about) {
    this.about = about;
    this.canvas = about.sketch.canvas;
    this.number = new Map(about.labels.map((label, i) => [label, i]));
    const runtime = inflated("ort.bin").then((binary) => {
      ort.env.wasm.wasmPaths = { mjs: new URL("ort-loader.js", import.meta.url).href };
      ort.env.wasm.wasmBinary = binary.buffer;
      ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
    });
    const session = async (name) => {
      const [content] = await Promise.all([inflated(name), runtime]);
      return ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    };
    this.classifier = session("classifier.bin");
    this.diffusion = this.classifier.then(() => session("strokes.bin")); // recognition comes first
    this.diffusion.catch(() => {}); // whoever needs it is told
  }

  /** Drawings as lines in the unit square → their fields, one after another. */
  fields(drawings) {
    const fields = new Float32Array(drawings.length * this.canvas ** 2);
    drawings.forEach((lines, i) => fields.set(field(lines, this.about.sketch), i * this.canvas ** 2));
    return fields;
  }

  /** Fields → the logits of each. */
  async logits(fields) {
    const count = fields.length / this.canvas ** 2;
    const { logits } = await (await this.classifier).run({ field: tensor("float32", fields, [count, this.canvas, this.canvas]) });
    return split(logits.data, count);
  }

  async probabilities(fields) {
    return (await this.logits(fields)).map(softmax);
  }

  /** Noisy tokens of b sketches, row by row → the predicted clean ones. `given`: 1 for tokens that are clean already. */
  async clean({ x, time, label, count, given, guidance }) {
    const b = label.length, t = given.length / b;
    const whole = (values) => tensor("int64", BigInt64Array.from(values, BigInt), [b]);
    const { clean } = await (await this.diffusion).run({
      x: tensor("float32", x, [b, t, x.length / given.length]),
      time: tensor("float32", new Float32Array(b).fill(time), [b]),
      label: whole(label),
      count: whole(count),
      given: tensor("bool", given, [b, t]),
      guidance: tensor("float32", Float32Array.of(guidance), []),
    });
    return clean.data;
  }
}

const tensor = (kind, data, shape) => new ort.Tensor(kind, data, shape);
const split = (data, count) => Array.from({ length: count }, (_, i) => data.subarray((i * data.length) / count, ((i + 1) * data.length) / count));

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b)), powers = Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
