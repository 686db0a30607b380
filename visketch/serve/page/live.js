// Recognition while the pen moves: one question at a time, and the newest next. What is stale is called off once the pen
// rests, and never shown.

import { ask } from "./backend.js";
import { sent } from "./strokes.js";

const PAUSE = 60; // milliseconds between questions while the pen moves, so that other people's get a turn

export class Live {
  constructor(show, fail) {
    this.show = show; // (predictions), or null for a blank sheet
    this.fail = fail;
    this.wanted = null; // to be asked next
    this.asked = null; // last
    this.asking = false;
    this.hurry = () => {};
  }

  look(strokes, moving) {
    if (this.asked && same(strokes, this.asked)) {
      this.wanted = null;
      return;
    }
    this.wanted = strokes;
    if (!strokes.length) {
      this.asked = null;
      this.show(null);
    }
    if (!moving) this.hurry();
    if (!this.asking) this.run();
  }

  async run() {
    this.asking = true;
    while (this.wanted?.length) {
      const strokes = (this.asked = this.wanted);
      const call = new AbortController();
      this.wanted = null;
      this.hurry = () => call.abort();
      let pause = PAUSE;
      try {
        const { predictions } = await ask("classify", { drawing: sent(strokes) }, call.signal);
        if (!this.wanted || this.wanted.length) this.show(predictions);
        this.fail(null);
      } catch (problem) {
        if (problem.name === "AbortError") continue;
        this.asked = null;
        pause = 1000 * (problem.after || 0.5);
        if (problem.status === 429) this.wanted ??= strokes;
        else this.fail(problem);
      }
      await new Promise((done) => {
        setTimeout(done, pause);
        this.hurry = pause === PAUSE ? done : () => {};
      });
    }
    this.asking = false;
  }
}

/** Strokes are never changed, only replaced. */
const same = (one, two) => one.length === two.length && one.every((stroke, i) => stroke === two[i]);
