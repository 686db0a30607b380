// Strokes as pieces of a fixed number of points, and as the tokens of the network: `geometry/pieces.py`, and the scales
// of `models/strokes.py`, whose constants come with the weights (`scales`).
//
// A stroke is a Float32Array of x, y, x, y ...; pieces are {points: such an array each, joined: a boolean each}.

import { fit } from "./field.js";

const f = Math.fround;
const at = (line, i) => [line[2 * i], line[2 * i + 1]];
const distance = ([ax, ay], [bx, by]) => f(Math.hypot(bx - ax, by - ay));

/** Halves to even, as numpy rounds. */
function rint(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/** Strokes → pieces, in the same unit and order. */
export function cut(strokes, k) {
  const points = [], joined = [];
  for (const stroke of strokes) {
    const last = stroke.length / 2 - 1, parts = Math.max(1, Math.ceil(last / (k - 1)));
    const ends = Array.from({ length: parts + 1 }, (_, i) => rint(i === parts ? last : i * (last / parts)));
    for (let part = 0; part < parts; part++) {
      points.push(filled(stroke.slice(2 * ends[part], 2 * ends[part + 1] + 2), k));
      joined.push(part > 0);
    }
  }
  return { points, joined };
}

/** At most k vertices → exactly k points: the segments are divided so that the longest part is shortest (D'Hondt). */
function filled(run, k) {
  const vertices = run.length / 2, parts = new Array(k - 1).fill(0);
  if (vertices === 1) parts[0] = k - 1; // a dot: all points at one place
  const bids = [];
  for (let segment = 0; segment + 1 < vertices; segment++) {
    parts[segment] = 1;
    const length = distance(at(run, segment), at(run, segment + 1));
    for (let divisor = 1; divisor < k; divisor++) bids.push([length / divisor, segment]);
  }
  bids.sort((one, other) => other[0] - one[0]);
  for (const [, segment] of bids.slice(0, k - vertices)) parts[segment]++;
  const points = [run[0], run[1]];
  parts.forEach((count, segment) => {
    const start = at(run, Math.min(segment, vertices - 1)), end = at(run, Math.min(segment + 1, vertices - 1));
    for (let part = 1; part <= count; part++) points.push(...[0, 1].map((axis) => start[axis] + f(end[axis] - start[axis]) * (part / count)));
  });
  return Float32Array.from(points);
}

/** The inverse of `cut`: where joined pieces do not quite meet, they meet in the middle. */
export function join({ points, joined }) {
  const strokes = [];
  points.forEach((piece, i) => {
    if (!joined[i] || !strokes.length) return strokes.push([...piece]);
    const before = strokes.at(-1), y = before.pop(), x = before.pop();
    before.push(f(f(x + piece[0]) / 2), f(f(y + piece[1]) / 2), ...piece.slice(2));
  });
  return strokes.map((stroke) => Float32Array.from(stroke));
}

/** A drawing's strokes as pieces that fill [-1, 1], simplified further than usual if they are too many; null for too many strokes. */
export function whole(strokes, { points, tolerance, pieces: most }) {
  if (strokes.length > most) return null;
  const lines = wide(fit(strokes, 0));
  for (let allowed = tolerance; ; allowed *= 1.5) {
    const found = cut(simplified(lines, allowed), points);
    if (found.joined.length <= most) return found;
  }
}

/** From the unit square to [-1, 1]. */
export const wide = (lines) => lines.map((line) => line.map((value) => f(2 * value) - 1));

/** Strokes with fewer vertices, no line moved by more than `tolerance`. */
export const simplified = (strokes, tolerance) => strokes.map((stroke) => (stroke.length > 4 ? thinned(stroke, tolerance) : stroke));

/** Ramer, Douglas and Peucker, as scikit-image has it. */
function thinned(stroke, tolerance) {
  const kept = new Set([0, stroke.length / 2 - 1]), open = [[0, stroke.length / 2 - 1]];
  while (open.length) {
    const [first, last] = open.pop();
    let most = tolerance, farthest = 0;
    for (let i = first + 1; i < last; i++) {
      const away = aside(at(stroke, i), at(stroke, first), at(stroke, last));
      if (away > most) [most, farthest] = [away, i];
    }
    if (!farthest) continue;
    kept.add(farthest);
    open.push([farthest, last], [first, farthest]);
  }
  return Float32Array.from([...kept].sort((one, other) => one - other).flatMap((i) => at(stroke, i)));
}

function aside([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay;
  const within = (x - ax) * dx + (y - ay) * dy > 0 && (bx - x) * dx + (by - y) * dy > 0;
  if (!within) return Math.min(Math.hypot(x - ax, y - ay), Math.hypot(x - bx, y - by));
  return Math.abs((x - ax) * dy - (y - ay) * dx) / Math.hypot(dx, dy);
}

/** A piece in [-1, 1] → its token. */
export function token(points, joined, { place, shape, size: offset, smallest }) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  points.forEach((value, i) => {
    low[i % 2] = Math.min(low[i % 2], value);
    high[i % 2] = Math.max(high[i % 2], value);
  });
  const half = Math.max(high[0] - low[0], high[1] - low[1], 2 * smallest) / 2;
  const own = points.map((value, i) => (value - (low[i % 2] + high[i % 2]) / 2) / half);
  return [...points.map((value) => place * value), ...own.map((value) => shape * value), Math.log(half) + offset, joined ? 1 : -1];
}

/** A token, whose parts need not agree → its piece. */
export function piece(token, { points: k, place, shape, size: offset, blunt }) {
  const half = Math.min(Math.exp(token[4 * k] - offset), 1.2);
  const points = Float32Array.from(token.subarray(0, 2 * k), (value) => value / place);
  const own = Float32Array.from(token.subarray(2 * k, 4 * k), (value) => (value / shape) * half);
  const middle = [0, 0];
  points.forEach((value, i) => (middle[i % 2] += (value - own[i]) / k));
  const weight = 1 / (1 + (half / blunt) ** 2);
  return { points: points.map((value, i) => value + weight * (own[i] + middle[i % 2] - value)), joined: token[4 * k + 1] > 0 };
}
