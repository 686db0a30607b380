// Results: sketches as cards, to be dragged, clicked or sent by the keyboard onto the paper; and how they come to be.

import { way } from "./strokes.js";

const NS = "http://www.w3.org/2000/svg";
export const KIND = "application/x-visketch"; // of what is dragged

const svg = (name, attributes) => {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

export class Cards {
  /** `put`: what a click does with a sketch; `acts`: more of that, {icon, name, act, pressed} each. */
  constructor(list, put) {
    this.list = list;
    this.put = put;
    this.acts = [];
    this.cards = [];
  }

  /** So many cards, still empty. */
  wait(count, few = false) {
    this.list.replaceChildren();
    this.list.classList.toggle("few", few);
    this.cards = Array.from({ length: count }, (_, i) => {
      const item = document.createElement("li");
      const card = document.createElement("button");
      card.type = "button";
      card.className = "card";
      card.disabled = true;
      card.setAttribute("aria-label", `Sketch ${i + 1}, not done yet`);
      const figure = document.createElement("figure");
      card.append(figure);
      item.append(card);
      this.list.append(item);
      return { card, figure };
    });
  }

  /** The sketches so far. */
  frame(stage, pictures, turn) {
    this.cards.forEach(({ figure }, i) => {
      let image = figure.querySelector("img");
      if (!image) figure.prepend((image = Object.assign(document.createElement("img"), { alt: "", draggable: false })));
      image.className = stage;
      image.src = pictures[i];
      for (const leaf of figure.querySelectorAll(".leaf")) {
        leaf.classList.toggle("now", Number(leaf.dataset.turn) === turn);
        leaf.classList.toggle("done", Number(leaf.dataset.turn) < turn);
      }
    });
  }

  /** The sketches so far as strokes: as they are predicted, and of those that are new no more than a share of each. */
  strokes(drawings, size, shares, given = 0) {
    this.cards.forEach(({ card, figure }, i) => {
      if (card.dataset.whole) return;
      if (shares[i] === 1) {
        card.dataset.whole = "true";
        card.setAttribute("aria-label", `Sketch ${i + 1}`);
      }
      const shown = given + Math.ceil(shares[i] * (drawings[i].length - given));
      figure.replaceChildren(drawn({ drawing: drawings[i].slice(0, shown), size, pen: size / 32, given: given || undefined }));
    });
  }

  /** The quadtree over each of them. */
  leaves(trees) {
    this.cards.forEach(({ figure }, i) => {
      const layer = svg("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
      for (const [x, y, side, turn] of trees[i]) {
        const leaf = svg("rect", { x: 100 * x, y: 100 * y, width: 100 * side, height: 100 * side, class: "leaf" });
        leaf.dataset.turn = turn;
        layer.append(leaf);
      }
      figure.append(layer);
    });
  }

  /** The sketches as strokes: {drawing, size, pen, given, caption: [what, how much], name, picture} each. `picture`: the
   * number of the card that it comes from, and moves away from. */
  show(sketches, few = false) {
    const before = this.cards.map(({ card }) => card.getBoundingClientRect());
    this.wait(sketches.length, few);
    if (before.length > 1) this.cards.forEach(({ card }, i) => move(card, before[sketches[i].picture]));
    this.cards.forEach(({ card, figure }, i) => {
      const sketch = sketches[i];
      const caption = Object.assign(document.createElement("span"), { className: "caption" });
      figure.replaceChildren(drawn(sketch));
      card.append(caption);
      for (const words of sketch.caption) caption.append(Object.assign(document.createElement("span"), { textContent: words }), " ");
      card.removeAttribute("aria-label"); // its caption is its name
      card.title = `${sketch.name ?? ""} Drag it onto the paper, or click`.trim();
      if (!sketch.drawing.length) return;
      card.disabled = false;
      card.draggable = true;
      card.addEventListener("click", () => this.put(sketch));
      card.addEventListener("dragstart", (event) => {
        event.dataTransfer.setData(KIND, JSON.stringify(sketch.drawing));
        event.dataTransfer.effectAllowed = "copy";
      });
      if (this.acts.length && sketch.class) card.after(this.actions(sketch));
    });
  }

  actions(sketch) {
    const row = Object.assign(document.createElement("div"), { className: "acts" });
    for (const { icon, name, act, pressed } of this.acts) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "icon", title: name });
      button.setAttribute("aria-label", `${name}: ${sketch.caption.join(" ")}`);
      if (pressed) button.setAttribute("aria-pressed", String(pressed(sketch)));
      const picture = svg("svg", { "aria-hidden": "true" });
      picture.append(svg("use", { href: `#${icon}` }));
      button.append(picture);
      button.addEventListener("click", () => act(sketch, button));
      row.append(button);
    }
    return row;
  }

  /** Draw what has become of a sketch on its card. */
  redraw(number, sketch) {
    this.cards[number].figure.replaceChildren(drawn(sketch));
  }
}

/** From where it was to where it is. */
function move(card, from) {
  if (!from || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const to = card.getBoundingClientRect();
  const start = `translate(${from.x - to.x}px, ${from.y - to.y}px) scale(${from.width / to.width})`;
  card.animate([{ transform: start, transformOrigin: "0 0" }, { transform: "none", transformOrigin: "0 0" }], { duration: 500, easing: "ease-in-out" });
}

function drawn({ drawing, size, pen, given }) {
  const xs = drawing.flatMap((stroke) => stroke[0]), ys = drawing.flatMap((stroke) => stroke[1]);
  const most = (values, start, choose) => values.reduce((a, b) => choose(a, b), start);
  const low = [Math.min(0, most(xs, 0, Math.min)), Math.min(0, most(ys, 0, Math.min))];
  const side = Math.max(size, most(xs, 0, Math.max) - low[0], most(ys, 0, Math.max) - low[1]);
  const picture = svg("svg", { viewBox: `${low[0]} ${low[1]} ${side} ${side}`, "aria-hidden": "true" });
  drawing.forEach(([x, y], i) => {
    const path = svg("path", { d: way(x.map((value, k) => [value, y[k]])), "stroke-width": Math.max(pen, side / 60) });
    path.setAttribute("class", given !== undefined && i >= given ? "stroke new" : "stroke");
    picture.append(path);
  });
  return picture;
}

/** The votes of the leaves, over the paper. */
export function showVotes(overlay, votes) {
  overlay.replaceChildren();
  const most = Math.max(...votes.map((vote) => Math.abs(vote.weight)), 1e-6);
  for (const { input: [left, top, right, bottom], weight } of votes) {
    const share = Math.abs(weight) / most;
    const box = svg("rect", { x: left, y: top, width: right - left, height: bottom - top, "fill-opacity": (0.04 + 0.36 * share).toFixed(3) });
    box.setAttribute("class", weight < 0 ? "vote against" : "vote");
    overlay.append(box);
    if (share < 0.12) continue;
    const words = svg("text", { x: left + 7, y: top + 20, class: "share" });
    words.textContent = `${weight < 0 ? "−" : "+"}${Math.round(100 * Math.abs(weight))} %`;
    overlay.append(words);
  }
}
