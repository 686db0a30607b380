// Strokes: {points: [[x, y], ...], width}, on a square of SIDE. They are never changed, only replaced.

export const SIDE = 512;

/** As Quick, Draw! has them, for the server. */
export const sent = (strokes) =>
  strokes.map(({ points }) => {
    const [x, y] = [0, 1].map((axis) => points.map((point) => Math.round(point[axis] * 10) / 10));
    return { x, y };
  });

/** What the server draws → strokes in the middle of the sheet. */
export function fitted(drawing, width, share = 0.8) {
  const points = drawing.flatMap(([xs, ys]) => xs.map((x, i) => [x, ys[i]]));
  const low = [0, 1].map((axis) => points.reduce((least, point) => Math.min(least, point[axis]), Infinity));
  const high = [0, 1].map((axis) => points.reduce((most, point) => Math.max(most, point[axis]), -Infinity));
  const scale = (share * SIDE) / Math.max(high[0] - low[0], high[1] - low[1], 1e-6);
  const place = (value, axis) => (value - (low[axis] + high[axis]) / 2) * scale + SIDE / 2;
  return drawing.map(([xs, ys]) => ({ points: xs.map((x, i) => [place(x, 0), place(ys[i], 1)]), width }));
}

/** The way through the points as the `d` of an SVG path: smooth, from the middle of one piece to that of the next, but for corners. */
export function way(points) {
  const at = (x, y) => `${x.toFixed(2)} ${y.toFixed(2)}`;
  const [first, ...rest] = points;
  let d = `M${at(...first)}`;
  if (!rest.length) return `${d}h0`;
  for (let i = 0; i + 1 < rest.length; i++) {
    const [x, y] = rest[i];
    const next = rest[i + 1];
    if (isCorner(points[i], rest[i], next)) d += `L${at(x, y)}`;
    else d += `Q${at(x, y)} ${at((x + next[0]) / 2, (y + next[1]) / 2)}`;
  }
  return `${d}L${at(...rest.at(-1))}`;
}

/** Whether a line turns by more than 50 degrees. */
function isCorner([ax, ay], [x, y], [bx, by]) {
  const long = Math.hypot(x - ax, y - ay) * Math.hypot(bx - x, by - y);
  return (x - ax) * (bx - x) + (y - ay) * (by - y) < 0.64 * long;
}

/** What is left of strokes when a rubber of that radius goes from one point to another. */
export function erased(strokes, from, to, radius) {
  return strokes.flatMap((stroke) => {
    const reach = radius + stroke.width / 2;
    if (!stroke.points.some((point, i) => distance(point, stroke.points[i + 1] ?? point, from, to) < reach)) return [stroke];
    const parts = [[]];
    for (const point of dense(stroke.points, radius / 3)) {
      if (aside(point, from, to) >= reach) parts.at(-1).push(point);
      else if (parts.at(-1).length) parts.push([]);
    }
    return parts.filter((points) => points.length > 1).map((points) => ({ ...stroke, points }));
  });
}

function dense(points, spacing) {
  return points.flatMap((point, i) => {
    const next = points[i + 1];
    if (!next) return [point];
    const steps = Math.max(1, Math.ceil(Math.hypot(next[0] - point[0], next[1] - point[1]) / spacing));
    return Array.from({ length: steps }, (_, k) => [0, 1].map((axis) => point[axis] + ((next[axis] - point[axis]) * k) / steps));
  });
}

/** How far a point is from a straight piece. */
function aside([x, y], [ax, ay], [bx, by]) {
  const squared = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = squared ? Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared)) : 0;
  return Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay));
}

/** How far two straight pieces are apart: 0 if they cross. */
function distance(a, b, c, d) {
  const side = (p, q, r) => Math.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]));
  if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return 0;
  return Math.min(aside(a, c, d), aside(b, c, d), aside(c, a, b), aside(d, a, b));
}

/** Keep them for this tab, so that they are there again after a reload. */
export function keep(strokes) {
  try {
    sessionStorage.setItem("strokes", JSON.stringify(strokes));
  } catch { /* too many, or not allowed: then they are not kept */ }
}

export function kept() {
  try {
    return JSON.parse(sessionStorage.getItem("strokes")) ?? [];
  } catch {
    return [];
  }
}
