// The first visit: the page itself draws half a cat, to be finished or drawn over.

import { fitted } from "./strokes.js";

const SPEED = 0.9; // points of the paper a millisecond
const CAT = [
  [[150, 157, 165, 174, 184, 182, 174], [47, 37, 28, 22, 17, 40, 66]],
  [[106, 100, 92, 83, 72, 75, 84, 78, 75, 75, 78, 85, 90, 97, 112, 129], [46, 36, 28, 21, 16, 38, 64, 75, 91, 104, 115, 124, 129, 133, 138, 140]],
  [[106, 117, 129, 140, 150], [46, 44, 43, 44, 47]],
  [[103, 107, 112, 116, 118, 115, 110, 105, 103], [84, 81, 80, 82, 86, 89, 90, 88, 84]],
  [[100, 73, 52], [104, 100, 100]],
  [[100, 75, 56], [110, 115, 121]],
];

/** Offer it, stroke by stroke or, with less motion, at once; never twice to the same visitor. */
export function begin(paper, still) {
  try {
    if (localStorage.getItem("seen")) return;
    localStorage.setItem("seen", "true");
  } catch {
    return; // it could not be known that it was seen
  }
  const strokes = fitted(CAT, paper.width, 0.6);
  if (still) return paper.offer(strokes);
  const began = performance.now();
  paper.offer([{ ...strokes[0], points: strokes[0].points.slice(0, 1) }]);
  const step = (now) => {
    if (!paper.offered) return; // drawn over
    let left = SPEED * Math.max(0, now - began);
    const shown = [];
    for (const stroke of strokes) {
      if (left < 0) break;
      let until = 1;
      while (until < stroke.points.length && left >= 0) {
        const [x, y] = stroke.points[until], [px, py] = stroke.points[until - 1];
        left -= Math.hypot(x - px, y - py);
        until++;
      }
      shown.push(until === stroke.points.length ? stroke : { ...stroke, points: stroke.points.slice(0, until) });
      left -= 120 * SPEED; // the pen is lifted
    }
    if (left > 0) return paper.offer(strokes);
    paper.offered = shown;
    paper.paint();
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
