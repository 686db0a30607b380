// The steps of the stroke diffusion: `sample` and `draw` of `models/strokes.py`.

import { join, piece, token } from "./pieces.js";

const TOGETHER = 4; // sketches drawn at once: all take as long as the one with the most pieces, and recognition waits for a step

/** The normal random numbers of a sketch: the same for the same seed, but not those of Python. */
export function normal(seed) {
  const uniform = random(seed);
  return (count) => Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** Numbers in [0, 1) (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How many pieces a drawing of a class has, by chance: more than `least`, and few, usual or many for it. */
export function howMany(histogram, chance, least = 0, detail = "usual") {
  let likely = histogram.map((share, count) => (count > least ? share : 0));
  const sum = likely.reduce((a, b) => a + b);
  if (!sum) return least + 1;
  const [low, high] = { few: [0, 0.25], many: [0.75, 1] }[detail] ?? [0, 1];
  let before = 0;
  likely = likely.map((share) => {
    const after = before + share / sum, part = Math.min(after, high) - Math.max(before, low);
    before = after;
    return Math.max(0, part);
  });
  let left = chance * likely.reduce((a, b) => a + b);
  const found = likely.findIndex((share) => (left -= share) < 0);
  return found < 0 ? likely.findLastIndex((share) => share > 0) : found;
}

/** The times of the steps, from `strength` down to above 0. */
export function times(steps, strength) {
  const some = Math.max(1, Math.round(steps * strength));
  return Array.from({ length: some }, (_, step) => strength * (1 - step / some));
}

/**
 * The strokes of sketches in [-1, 1], of so many pieces each. A sketch: {label, count, noise, given, like}. `noise(n)`
 * gives n normal random numbers; `given`: pieces that come first and stay; `like`: pieces to start from, at `strength`.
 * `tell(drawn, shares)` hears after each step what is drawn so far, and how far each of them is.
 */
export async function draw(model, sketches, { strength = 1, guidance = model.about.guidance, tell = async () => {} } = {}) {
  const { scales, steps } = model.about, route = times(steps, strength);
  const drawn = sketches.map(() => [Float32Array.of(0, 0)]), shares = sketches.map(() => 0);
  const order = sketches.map((_, i) => i).slice(1).sort((i, j) => sketches[i].count - sketches[j].count);
  const groups = [[0]]; // the first alone: somebody is waiting
  for (let first = 0; first < order.length; first += TOGETHER) groups.push(order.slice(first, first + TOGETHER));
  for (const places of groups.filter(({ length }) => length)) {
    const some = places.map((i) => sketches[i]);
    const state = begin(some, scales);
    let x = noised(state, some, strength);
    for (const [done, time] of route.entries()) {
      state.clean = keepGiven(state, await model.clean({ x, time, guidance, ...state.told }));
      if (done + 1 < route.length) x = ancestral(state, some, x, time, route[done + 1]);
      places.forEach((place, row) => {
        drawn[place] = strokes(state.clean.subarray(row * state.long, (row + 1) * state.long), some[row], state.width, scales);
        shares[place] = (done + 1) / route.length;
      });
      await tell(drawn, shares);
    }
  }
  return drawn;
}

/**
 * How badly the network predicts a drawing of a class, in pieces that fill [-1, 1], from noised ones: its squared errors,
 * summed over the pieces. `noise(n)` gives n normal random numbers.
 */
export async function surprise(model, pieces, label, noise) {
  const { scales, looks, noised: time } = model.about, count = pieces.joined.length, size = count * (4 * scales.points + 2);
  const tokens = Float32Array.from(pieces.points.flatMap((points, i) => token(points, pieces.joined[i], scales)));
  const x = new Float32Array(looks * size);
  for (let look = 0; look < looks; look++) x.set(noise(size).map((value, i) => time * value + (1 - time) * tokens[i]), look * size);
  const told = { label: new Array(looks).fill(label), count: new Array(looks).fill(count), given: new Uint8Array(looks * count) };
  const clean = await model.clean({ x, time, guidance: 1, ...told });
  return clean.reduce((sum, value, i) => sum + ((value - tokens[i % size]) / time) ** 2, 0) / ((looks * size) / count);
}

/** Sketches as the rows of one array, padded. */
function begin(sketches, scales) {
  const width = 4 * scales.points + 2, most = Math.max(...sketches.map(({ count }) => count)), long = most * width;
  const start = new Float32Array(sketches.length * long), given = new Uint8Array(sketches.length * most);
  sketches.forEach((sketch, row) => {
    const known = sketch.given ?? sketch.like;
    known?.points.forEach((points, i) => start.set(token(points, known.joined[i], scales), row * long + i * width));
    if (sketch.given) given.fill(1, row * most, row * most + known.joined.length);
  });
  const told = { label: sketches.map(({ label }) => label), count: sketches.map(({ count }) => count), given };
  return { start, clean: start, told, width, long };
}

/** What is drawn from: the start, noised up to a time, but for tokens that are given. */
function noised(state, sketches, time) {
  const random = rows(state, sketches);
  return keepGiven(state, random.map((value, i) => time * value + (1 - time) * state.start[i]));
}

/** `ancestral` of `models/flow.py`: noisy tokens at an earlier time, of which some noise is kept and the rest is new. */
function ancestral(state, sketches, x, time, after) {
  const kept = (after ** 2 * (1 - time)) / ((1 - after) * time), fresh = Math.sqrt(Math.max(0, after ** 2 - kept ** 2));
  const random = rows(state, sketches), { clean } = state;
  return keepGiven(state, random.map((value, i) => (1 - after) * clean[i] + (kept * (x[i] - (1 - time) * clean[i])) / time + fresh * value));
}

/** Random numbers for the tokens of each sketch, zeros beyond. */
function rows({ clean, width, long }, sketches) {
  const random = new Float32Array(clean.length);
  sketches.forEach(({ noise, count }, row) => random.set(noise(count * width), row * long));
  return random;
}

/** Tokens, but those that are given as they are. */
const keepGiven = ({ start, told, width }, x) => x.map((value, i) => (told.given[Math.floor(i / width)] ? start[i] : value));

/** The strokes of a sketch beside those that are given. */
function strokes(tokens, { count, given }, width, scales) {
  const known = given?.joined.length ?? 0;
  const pieces = Array.from({ length: count - known }, (_, i) => piece(tokens.subarray((known + i) * width, (known + i + 1) * width), scales));
  if (known && pieces[0].joined) pieces[0].points.set(given.points.at(-1).subarray(-2)); // it goes on where that stroke ends
  return join({ points: pieces.map(({ points }) => points), joined: pieces.map(({ joined }) => joined) });
}
