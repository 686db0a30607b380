// Recognition while the pen moves: one question at a time, and the newest next. What is stale is never shown.

import { ask } from "./server.js";
import { sent } from "./strokes.js";

const PAUSE = 40; // milliseconds between questions while the pen moves, so that other people's get a turn

export class Live {
  constructor(show, fail) {
    this.show = show; // (predictions), or null for a blank sheet
    this.fail = fail;
    this.wanted = null;
    this.asking = false;
    this.turn = 0;
  }

  look(strokes) {
    this.turn++;
    this.wanted = strokes;
    if (!strokes.length) this.show(null);
    if (!this.asking) this.run();
  }

  async run() {
    this.asking = true;
    while (this.wanted?.length) {
      const { wanted: strokes, turn } = this;
      this.wanted = null;
      let pause = PAUSE;
      try {
        const { predictions } = await ask("classify", { drawing: sent(strokes) });
        if (this.turn === turn || this.wanted?.length) this.show(predictions);
        this.fail(null);
      } catch (problem) {
        pause = 1000 * (problem.after || 0.5);
        if (problem.status === 429) this.wanted ??= this.turn === turn ? strokes : null;
        else this.fail(problem);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.asking = false;
  }
}
