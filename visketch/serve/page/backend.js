// The back end of the studio, asking the server: JSON in and out, events as they come, and problems as errors with one
// sentence. Without a server the page has another one, with the same functions (`../site/backend.js`).

export const SAVES = ["png", "svg", "moving", "gif", "ndjson"]; // kinds of files that a drawing can leave as
export const OPENS = ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.pnm,.pbm,.pgm,.ppm,.heic,.svg,.ndjson,.bin,.npy,.npz";
export const EFFORT = { drawn: 12, tries: 2 }; // sketches of a class, and tries for each way to finish
export const API = "api.html"; // for programs
export const ready = Promise.resolve(); // drawings can be recognised

const token = (() => {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname); // not to be seen, nor sent on with the address
  }
  return sessionStorage.getItem("token");
})();

export class Problem extends Error {
  constructor(detail, status, after = 0) {
    super(detail);
    this.status = status;
    this.after = after; // seconds until it is worth asking again
  }
}

const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

async function fetched(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The studio does not answer. Is `visketch serve` still running?", 0, 2);
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    const after = Number(answer.headers.get("retry-after")) || 0;
    const known = {
      401: "This studio wants its token: open the address that it printed.",
      429: `Too many are asking at once. Come again in ${after > 1 ? `${after} seconds` : "a second"}.`,
    };
    throw new Problem(known[answer.status] ?? sentence(said.detail || `the studio answered ${answer.status}`), answer.status, after);
  }
  return answer;
}

export const about = async () => (await fetched("v1/about")).json();

export async function ask(verb, body, signal) {
  return (await fetched(`v1/${verb}`, asJson(body, signal))).json();
}

export async function upload(verb, file) {
  const form = new FormData();
  form.append("file", file);
  return (await fetched(`v1/${verb}`, { method: "POST", body: form })).json();
}

/** Ask, and hear of the progress: `hear(name, data)` for every event; returns what the last one, `done`, says. */
export async function watch(verb, body, hear, signal) {
  const options = asJson(body, signal);
  options.headers.accept = "text/event-stream";
  const reader = (await fetched(`v1/${verb}`, options)).body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      return { done: true };
    });
    if (done) throw new Problem("The studio ended before it was done.", 0);
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)[1];
      const data = JSON.parse(/^data: (.*)$/m.exec(event)[1]);
      if (name === "done") return data;
      if (name === "error") throw new Problem(sentence(data.detail), data.status);
      hear(name, data);
    }
  }
}

const asJson = (body, signal) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
  signal,
});

export const openapi = async () => (await fetched("openapi.json")).json();
