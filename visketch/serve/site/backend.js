// The back end of the page without a server: the same functions as the studio's `backend.js`, answered by `worker.js`.

import { facts } from "./files.js";
import { opened } from "./saving.js";

export const SAVES = ["png", "svg", "moving", "ndjson"];
export const OPENS = ".ndjson";
export const EFFORT = { drawn: 8, tries: 1 }; // sketches of a class, and tries for each way to finish: one thread draws them
export const API = null;

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let last = 0, arrived, missing;

export class Problem extends Error {
  constructor(detail, status, after = 0) {
    super(detail);
    this.status = status;
    this.after = after;
  }
}

/** Resolved once drawings can be recognised. */
export const ready = new Promise((done, fail) => [arrived, missing] = [done, fail]);
worker.onerror = ({ message }) => missing(new Problem(message || "This browser cannot run the model.", 500));
worker.onmessage = ({ data: { id, name, event, answer, error, ready: here, failed } }) => {
  if (here) return arrived();
  if (failed) return missing(new Problem(sentence(failed), 500));
  const one = waiting.get(id);
  if (name) return one?.hear(name, event);
  waiting.delete(id);
  if (error) one?.fail(new Problem(sentence(error), 422));
  else one?.done(answer);
};

const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

export async function about() {
  return { ...(await facts()), index: null, verbs: ["classify", "generate", "complete", "vary", "vectorize"] };
}

export const ask = (verb, body, signal) => watch(verb, body, () => {}, signal);

export async function upload(verb, file) {
  return opened(await file.text(), file.name);
}

export async function watch(verb, body, hear, signal) {
  await ready;
  const id = ++last;
  return new Promise((done, fail) => {
    waiting.set(id, { hear, done, fail });
    worker.postMessage({ id, verb, body });
    signal?.addEventListener("abort", () => {
      if (!waiting.delete(id)) return;
      worker.postMessage({ cancel: id });
      fail(signal.reason);
    });
  });
}

// From the second visit on without a network; where the browser forbids it, it is a page like any other.
navigator.serviceWorker?.register("offline.js").catch(() => {});
