// The sheet of paper: pen, finger, mouse and keys make strokes; every change can be undone.

import { SIDE, erased, way } from "./strokes.js";

const RUBBER = 12; // its radius
const STEP = 8; // of the arrow keys
const NEAR = 1.2; // points closer than this say nothing

export class Paper {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed; // called with the strokes, and whether the pen is still down
    this.past = [[]];
    this.now = 0;
    this.width = 8;
    this.rubbing = false;
    this.line = null; // being drawn
    this.rest = null; // while the rubber is down: what is left
    this.spot = null; // of the pen that keys move
    this.offered = null; // what the page drew by itself: no part of what can be undone, and gone with the first line
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, () => this.up());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.keyUp());
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  get strokes() {
    if (this.offered) return this.offered;
    if (this.rest) return this.rest;
    return this.line ? [...this.past[this.now], this.line] : this.past[this.now];
  }

  get canUndo() { return this.now > 0; }
  get canRedo() { return this.now + 1 < this.past.length; }

  /** Take these strokes from now on; what was before can be had again. */
  put(strokes) {
    this.offered = null;
    this.past = [...this.past.slice(0, this.now + 1), strokes];
    this.now++;
    this.tell();
  }

  offer(strokes) {
    this.offered = strokes;
    this.tell();
  }

  undo() { this.go(-1); }
  redo() { this.go(1); }

  go(steps) {
    this.up();
    this.now = Math.min(Math.max(this.now + steps, 0), this.past.length - 1);
    this.tell();
  }

  tell() {
    this.paint();
    this.changed(this.strokes, Boolean(this.line || this.rest));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  down(event) {
    if (!event.isPrimary || event.button > 0 && event.button !== 5 || this.line || this.rest) return;
    this.keyUp();
    this.offered = null;
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.place(event);
    if (this.rubbing || event.button === 5) { // 5: the other end of a pen
      this.rest = erased(this.past[this.now], point, point, RUBBER);
      this.last = point;
    } else this.line = { points: [point], width: this.width };
    this.tell();
  }

  move(event) {
    if (!event.isPrimary || !(this.line || this.rest) || this.spot) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const point = this.place(each);
      if (this.rest) {
        this.rest = erased(this.rest, this.last, point, RUBBER);
        this.last = point;
      } else this.lead(point);
    }
    this.tell();
  }

  lead(point) {
    const last = this.line.points.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= NEAR)
      this.line = { ...this.line, points: [...this.line.points, point] };
  }

  up() {
    const { line, rest } = this;
    this.line = this.rest = null;
    if (line) this.put([...this.past[this.now], line]);
    else if (rest && rest.length + this.past[this.now].length && rest !== this.past[this.now]) this.put(rest);
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if ((!way && event.key !== " ") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.offered = null;
    this.spot ??= [SIDE / 2, SIDE / 2];
    if (way) {
      const far = event.shiftKey ? 3 * STEP : STEP;
      this.spot = this.spot.map((value, axis) => Math.min(SIDE, Math.max(0, value + way[axis] * far)));
      if (this.line) this.lead(this.spot);
    } else if (this.line) this.up();
    else this.line = { points: [this.spot], width: this.width };
    this.tell();
  }

  keyUp() {
    if (!this.spot) return;
    this.spot = null;
    this.up();
    this.paint();
  }

  resize() {
    const size = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (size && this.canvas.width !== size) {
      this.canvas.width = this.canvas.height = size;
      this.paint();
    }
  }

  paint() {
    const style = getComputedStyle(this.canvas);
    const context = this.canvas.getContext("2d");
    context.resetTransform();
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    draw(context, this.canvas.width, this.strokes, style.getPropertyValue("--ink"));
    if (this.spot) {
      context.strokeStyle = style.getPropertyValue("--accent");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...this.spot, 7, 0, 7);
      context.stroke();
    }
  }

  /** A picture of it: black on white. */
  picture(size = 1024) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, size, size);
    draw(context, size, this.strokes, "black");
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }
}

function draw(context, size, strokes, ink) {
  context.setTransform(size / SIDE, 0, 0, size / SIDE, 0, 0);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = ink;
  for (const { points, width } of strokes) {
    context.lineWidth = width;
    context.stroke(new Path2D(points.length > 1 ? way(points) : `M${points[0].join(" ")}l.01 0`));
  }
}
