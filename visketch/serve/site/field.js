// Signed distance fields of strokes: `geometry/sdf.py` and `fit` of `geometry/sketch.py` in the browser, operation by
// operation in single precision (`f`), so that the answers are those of Python.
//
// A line is a Float32Array of x, y, x, y ...

const f = Math.fround;

/** Lines of any unit → centred in the unit square with `margin`, a share of its side. */
export function fit(lines, margin) {
  const [low, high] = bounds(lines);
  const scale = (1 - 2 * margin) / Math.max(high[0] - low[0], high[1] - low[1], 1e-6);
  return lines.map((line) => line.map((value, i) => (value - (low[i % 2] + high[i % 2]) / 2) * scale + 0.5));
}

export function bounds(lines) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const line of lines) {
    for (let i = 0; i < line.length; i++) {
      if (line[i] < low[i % 2]) low[i % 2] = line[i];
      if (line[i] > high[i % 2]) high[i % 2] = line[i];
    }
  }
  return [low, high];
}

/** Lines in the unit square → the field, row by row. `shape`: canvas, pen and clamp. */
export function field(lines, { canvas, pen, clamp: share }) {
  const clamp = share * canvas, near = pen / 2 / share, reach = near + 1;
  const squared = new Float32Array(canvas * canvas).fill(reach * reach);
  for (const piece of straight(lines, canvas, f(reach * clamp))) draw(squared, canvas, piece, clamp, reach);
  return squared.map((value) => Math.min(f(f(near) - f(Math.sqrt(value))), 1));
}

/** Lines as straight pieces in pixels, none longer than `longest`. */
function* straight(lines, canvas, longest) {
  for (const line of lines) {
    const points = line.map((value) => value * canvas);
    for (let i = 0; i < Math.max(points.length - 2, 1); i += 2) {
      const next = points.length > 2 ? i + 2 : i;
      const wx = f(points[next] - points[i]), wy = f(points[next + 1] - points[i + 1]);
      let length = f(Math.sqrt(f(f(wx * wx) + f(wy * wy))));
      const [dx, dy] = length > 1e-6 ? [f(wx / length), f(wy / length)] : [1, 0]; // any direction for a dot
      const parts = Math.max(1, Math.ceil(f(length / longest)));
      length = f(length / parts);
      for (let part = 0; part < parts; part++) {
        yield { x: f(points[i] + f(f(dx * length) * part)), y: f(points[i + 1] + f(f(dy * length) * part)), dx, dy, length };
      }
    }
  }
}

/** Keep the smaller squared distance, in units of the clamp, in a window around a piece. */
function draw(squared, canvas, { x, y, dx, dy, length }, clamp, reach) {
  const far = reach * clamp, side = Math.ceil(length + 2 * far) + 1, unit = f(clamp), long = f(length / unit);
  const left = Math.ceil(Math.min(x, x + dx * length) - far - 0.5), top = Math.ceil(Math.min(y, y + dy * length) - far - 0.5);
  for (let row = Math.max(top, 0); row < Math.min(top + side, canvas); row++) {
    const ay = f(f(row - top - f(y - top - 0.5)) / unit), ydy = f(ay * dy), ydx = f(ay * dx);
    for (let column = Math.max(left, 0); column < Math.min(left + side, canvas); column++) {
      const ax = f(f(column - left - f(x - left - 0.5)) / unit);
      const along = f(ydy + f(ax * dx)), beside = f(ydx - f(ax * dy));
      const beyond = f(along - Math.min(Math.max(along, 0), long));
      const distance = f(f(beyond * beyond) + f(beside * beside)), place = row * canvas + column;
      if (distance < squared[place]) squared[place] = distance;
    }
  }
}
