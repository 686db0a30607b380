// A drawing as a file: SVG, SVG that draws itself, ndjson.

import { SIDE, way } from "./strokes.js";

const PEN = 8;
const SPEED = 1.6, LIFTED = 0.12, LONGEST = 8; // sides of the drawing a second, seconds between strokes, and for all of it
const MOTION = `<style>
  @keyframes draw {
    from { stroke-dasharray: 1.01; stroke-dashoffset: 1.01; visibility: hidden }
    to { stroke-dasharray: 1.01; stroke-dashoffset: 0 }
  }
  @media (prefers-reduced-motion: reduce) { path { animation: none !important } }
</style>
`;

/** Lines (x, y, x, y ...) on the sheet → the texts of its files. */
export function saved(lines, animate = false) {
  const strokes = lines.map((line) => Array.from({ length: line.length / 2 }, (_, i) => [line[2 * i], line[2 * i + 1]]));
  const when = animate ? pace(strokes) : [];
  const paths = strokes.map((points, i) => {
    const [begin, long] = when[i] ?? [];
    const motion = animate ? ` pathLength="1" style="animation: draw ${long.toFixed(3)}s ${begin.toFixed(3)}s linear both"` : "";
    return `<path d="${way(points)}"${motion}/>\n`;
  });
  const pen = `fill="none" stroke="black" stroke-linecap="round" stroke-linejoin="round" stroke-width="${PEN}"`;
  const size = `viewBox="0 0 ${SIDE} ${SIDE}" width="${SIDE}" height="${SIDE}"`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${animate ? MOTION : ""}<g ${pen}>\n${paths.join("")}</g>\n</svg>\n`;
  return { svg, ndjson: `${JSON.stringify({ drawing: rows(strokes) })}\n` };
}

/** As *Quick, Draw!* has them: x and y apart. */
const rows = (strokes) => strokes.map((points) => [0, 1].map((axis) => points.map((point) => Math.round(point[axis] * 10) / 10)));

/** The start and the length of each stroke, in seconds. */
function pace(strokes) {
  const seconds = strokes.map((points) => {
    const steps = points.slice(1).map(([x, y], i) => Math.hypot(x - points[i][0], y - points[i][1]));
    return Math.max(0.01, steps.reduce((a, b) => a + b, 0) / SIDE / SPEED);
  });
  const total = seconds.reduce((a, b) => a + b) + LIFTED * (strokes.length - 1), rate = Math.min(1, LONGEST / total);
  let now = 0;
  return seconds.map((long) => {
    const begin = now;
    now += long + LIFTED;
    return [begin * rate, long * rate];
  });
}

/** A line of ndjson → the drawing in it. Throws if there is none. */
export function opened(text, name) {
  try {
    const { drawing } = JSON.parse(text.split("\n", 1)[0]);
    const good = drawing.length && drawing.every(([x, y]) => x.length && x.length === y.length && [...x, ...y].every(Number.isFinite));
    if (good) return { drawing };
  } catch { /* said below */ }
  throw new Error(`${name}: no drawing in Quick, Draw!'s ndjson, which this page opens.`);
}
