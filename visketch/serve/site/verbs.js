// What the server's verbs do, in the browser: each takes a request's body and gives the answer of /v1/ (`serve/service.py`).

import { bounds, fit } from "./field.js";
import { cut, join, simplified, whole, wide } from "./pieces.js";
import { draw, howMany, normal, random, surprise } from "./sampling.js";
import { saved } from "./saving.js";

const PAGE = 256, EDGE = 1 / 16; // the side of the page for strokes that are being drawn, and its border, a share of it

/** `tell(name, data)` hears of the progress, and throws if nobody waits any more. */
export class Verbs {
  constructor(model) {
    this.model = model;
    this.about = model.about;
  }

  async classify({ drawing, top = 5 }) {
    return { predictions: (await this.likely(lines(drawing))).slice(0, top) };
  }

  async generate({ class: label, n, seed, detail }, tell) {
    const number = this.numberOf(label);
    const sketches = Array.from({ length: n }, (_, i) => {
      const count = howMany(this.about.histogram[number], random(seed + i)(), 0, detail);
      return { label: number, count, noise: normal(seed + i) };
    });
    return this.drawn(await draw(this.model, sketches, { tell: shown(tell) }), number, seed);
  }

  async vary({ drawing, class: label, n, seed, strength = this.about.strength }, tell) {
    const number = this.numberOf(label), strokes = lines(drawing), like = whole(strokes, this.about.scales);
    if (!like) throw new Error(`It has ${strokes.length} strokes: at most ${this.about.scales.pieces} can be changed; use a simpler drawing.`);
    const sketches = Array.from({ length: n }, (_, i) => ({ label: number, count: like.joined.length, noise: normal(seed + i), like }));
    return this.drawn(await draw(this.model, sketches, { strength, tell: shown(tell) }), number, seed);
  }

  async complete({ drawing, n, tries, seed, class: label }, tell) {
    const part = lines(drawing), { scales, sketch: { margin } } = this.about;
    const labels = label ? new Array(n).fill(label) : spread((await this.likely(part)).slice(0, this.about.proposed), n);
    const spots = labels.flatMap((_, i) => places(part, seed + i, tries, this.about.shares));
    const sketches = spots.map((place, i) => {
      const given = cut(simplified(wide(moved(part, place)), scales.tolerance), scales.points);
      if (given.joined.length >= scales.pieces) throw new Error(`It has ${given.joined.length} pieces of strokes: at most ${scales.pieces - 1} can be completed.`);
      const number = this.numberOf(labels[Math.floor(i / tries)]), from = seed + Math.floor(i / tries) + 2 ** 20 * (i % tries);
      return { label: number, count: howMany(this.about.histogram[number], random(from)(), given.joined.length), noise: normal(from), given };
    });
    const beside = sketches.map(({ given }) => join(given));
    const drawn = await draw(this.model, sketches, { guidance: this.about.completed_with, tell: shown(tell, beside) });
    const found = drawn.map((strokes, i) => fitted(part, spots[i], strokes, margin));
    const likely = await this.model.probabilities(this.model.fields(found.map(({ given, added }) => [...given, ...added])));
    const made = found.map(({ given, added }, i) => ({
      class: this.about.labels[sketches[i].label],
      probability: likely[i][sketches[i].label],
      seed: seed + Math.floor(i / tries),
      picture: i,
      ...this.listed([...given, ...added]),
      given: given.length,
      added: this.share(given, [...given, ...added]),
    }));
    const merits = new Map();
    for (const [i, one] of made.entries()) merits.set(one, one.added > 0 ? await this.merit(found[i], sketches[i].label, one.probability) : -Infinity);
    const better = (one, other) => merits.get(other) - merits.get(one) || 0; // the difference of two infinities is no number
    return { sketches: labels.map((_, i) => made.slice(i * tries, (i + 1) * tries).sort(better)[0]).sort(better) };
  }

  /** How good a completion is: `merits` of `tasks/complete.py`. */
  async merit({ given, added }, label, probability) {
    const surprised = await surprise(this.model, whole([...given, ...added], this.about.scales), label, normal(0));
    return Math.log(probability) - this.about.clutter * surprised;
  }

  vectorize({ drawing, animate }) {
    return saved(lines(drawing), animate);
  }

  /** The classes of a drawing, the likeliest first. */
  async likely(strokes) {
    const [row] = await this.model.probabilities(this.model.fields([fit(strokes, this.about.sketch.margin)]));
    return row.map((probability, i) => ({ label: this.about.labels[i], probability })).sort((one, other) => other.probability - one.probability);
  }

  numberOf(label) {
    const number = this.model.number.get(label);
    if (number === undefined) throw new Error(`Unknown class '${label}'.`);
    return number;
  }

  /** New sketches of a class, from strokes in [-1, 1]. */
  async drawn(drawings, number, seed) {
    const placed = drawings.map((strokes) => fit(strokes, this.about.sketch.margin));
    const likely = await this.model.probabilities(this.model.fields(placed));
    const sketches = placed.map((strokes, i) => ({
      class: this.about.labels[number],
      probability: likely[i][number],
      seed: seed + i,
      picture: i,
      ...this.listed(strokes),
    }));
    return { sketches };
  }

  /** Lines in the unit square, as answers have them. */
  listed(strokes) {
    const { canvas, pen } = this.about.sketch;
    return { size: canvas, pen: pen * canvas, drawing: apart(strokes, (value) => Math.round(value * canvas * 100) / 100) };
  }

  /** The share of the ink that is new. */
  share(given, all) {
    const [old, now] = [given, all].map((strokes) => this.model.fields([strokes]));
    const ink = now.reduce((sum, value) => sum + (value > 0), 0);
    return now.reduce((sum, value, i) => sum + (value > 0 && old[i] <= 0), 0) / Math.max(ink, 1);
  }
}

/** Strokes as the page sends them, {x, y} each → lines. Throws for a blank drawing. */
function lines(drawing) {
  const found = drawing.filter(({ x }) => x.length).map(({ x, y }) => Float32Array.from({ length: 2 * x.length }, (_, i) => (i % 2 ? y : x)[i >> 1]));
  if (!found.length) throw new Error("The drawing is blank.");
  return found;
}

/** Lines → x and y apart, as *Quick, Draw!* has them. */
const apart = (strokes, change) => strokes.map((line) => [0, 1].map((axis) => Array.from(line).filter((_, i) => i % 2 === axis).map(change)));

/** Progress as events: the strokes so far, on a page with a border. */
const shown = (tell, beside = []) => async (drawn, shares) => {
  const drawings = drawn.map((strokes, i) => apart([...(beside[i] ?? []), ...strokes], (value) => Math.round((((value + 1) / 2) * (1 - 2 * EDGE) + EDGE) * PAGE * 10) / 10));
  const total = shares.length;
  await tell("coarse", { stage: "coarse", done: shares.reduce((a, b) => a + b), total, shares, size: PAGE, drawings });
};

/** n classes, each in proportion to its probability (D'Hondt's rule). */
export function spread(proposed, n) {
  const count = proposed.map(() => 0);
  for (let i = 0; i < n; i++) {
    const bids = proposed.map(({ probability }, j) => probability / (count[j] + 1));
    count[bids.indexOf(Math.max(...bids))]++;
  }
  return proposed.flatMap(({ label }, i) => new Array(count[i]).fill(label));
}

/** Where a part may be in the whole: as large as it, then smaller, at random. */
function places(part, seed, tries, shares) {
  const [low, high] = bounds(part), size = high.map((value, axis) => value - low[axis]), chance = random(seed);
  return Array.from({ length: tries }, (_, number) => {
    const scale = shares[number % shares.length] / Math.max(...size, 1e-6);
    const free = [0, 1].map(() => (number ? Math.floor(3 * chance()) / 2 : 0.5));
    return { scale, spot: free.map((where, axis) => where * (1 - size[axis] * scale) - low[axis] * scale) };
  });
}

const moved = (strokes, { scale, spot }) => strokes.map((line) => line.map((value, i) => value * scale + spot[i % 2]));

/** The whole fitted to the canvas: the given lines, and those that were added. */
function fitted(part, place, strokes, margin) {
  const added = strokes.map((line) => line.map((value) => (value + 1) / 2));
  const [low, high] = bounds([...moved(part, place), ...added]);
  const scale = (1 - 2 * margin) / Math.max(high[0] - low[0], high[1] - low[1], 1e-6);
  const spot = low.map((value, axis) => 0.5 - ((value + high[axis]) / 2) * scale);
  const both = { scale: place.scale * scale, spot: place.spot.map((value, axis) => value * scale + spot[axis]) };
  return { given: moved(part, both), added: moved(added, { scale, spot }) };
}
