// The model in a thread of its own, so that the page answers meanwhile. Recognition goes on between the steps of a drawing.

import { facts } from "./files.js";
import { Model } from "./model.js";
import { Verbs } from "./verbs.js";

const cancelled = new Set();
const verbs = facts().then((about) => new Verbs(new Model(about)));
const turn = () => new Promise((done) => setTimeout(done)); // messages that have come are heard

verbs.then((known) => known.model.classifier).then(() => postMessage({ ready: true }), ({ message }) => postMessage({ failed: message }));

onmessage = async ({ data: { id, verb, body, cancel } }) => {
  if (cancel) return cancelled.add(cancel);
  const alive = async () => {
    await turn();
    if (cancelled.has(id)) throw new Error("cancelled");
  };
  try {
    await alive();
    const known = await verbs;
    const answer = await known[verb](body, async (name, event) => {
      postMessage({ id, name, event });
      await alive();
    });
    postMessage({ id, answer });
  } catch ({ message }) {
    postMessage({ id, error: message });
  } finally {
    cancelled.delete(id);
  }
};
