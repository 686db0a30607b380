// The studio: what the buttons do, and how one thing leads to another.

import { API, EFFORT, OPENS, SAVES, about, ask, ready, upload, watch } from "./backend.js";
import { Cards, KIND, showVotes } from "./cards.js";
import { Live } from "./live.js";
import { begin } from "./begun.js";
import { Paper } from "./paper.js";
import { Picker } from "./picker.js";
import { fitted, keep, kept, sent } from "./strokes.js";

const KEPT = 8; // sketches shown in the end
const NUMBERS = "No One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen Fifteen Sixteen".split(" ");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let studio = { index: null };
const $ = (id) => document.getElementById(id);
const percent = (share) => (share >= 0.995 ? ">99 %" : share < 0.01 ? "<1 %" : `${Math.round(100 * share)} %`);
const number = (count) => NUMBERS[count].toLowerCase();
const a = (label) => `${/^[aeio]|^u(?!ni)/i.test(label) ? "an" : "a"} ${label}`;

// What is on the paper, and what it is taken for

const paper = new Paper($("paper"), (strokes, drawing) => {
  $("hint").classList.toggle("gone", strokes.length > 0);
  $("begun").hidden = !paper.offered;
  $("finish").classList.toggle("main", Boolean(paper.offered));
  if ($("results").dataset.of === "explain") closeResults(); // it explained what was there before
  if ($("trouble").dataset.of === "ask") calm(); // it was about what one did before
  if (!drawing) {
    keep(paper.offered ? [] : strokes);
    $("undo").disabled = !paper.canUndo;
    $("redo").disabled = !paper.canRedo;
    for (const id of ["clear", "save", "refine", "finish", "similar", "why"]) $(id).disabled = !strokes.length;
  }
  live.look(strokes, drawing);
});

const live = new Live(showGuess, (problem) => {
  $("guess").classList.toggle("stale", Boolean(problem));
  if (problem) complain(problem);
  else if ($("trouble").dataset.of === "live") $("trouble").hidden = true;
});

const bars = Array.from({ length: 5 }, () => {
  const bar = document.createElement("li");
  bar.append(document.createElement("span"), document.createElement("span"));
  $("bars").append(bar);
  return bar;
});

function showGuess(predictions) {
  const [best] = predictions ?? [];
  const sure = best?.probability >= 0.25;
  $("first").classList.toggle("unsure", !sure);
  const words = !best ? "\u00a0" : sure ? best.label : `${a(best.label)}?`;
  if ($("first").textContent !== words) $("first").textContent = words;
  bars.forEach((bar, i) => {
    const guess = predictions?.[i];
    bar.style.setProperty("--share", guess?.probability ?? 0);
    bar.children[0].textContent = guess?.label ?? "\u00a0";
    bar.children[1].textContent = guess ? percent(guess.probability) : "";
  });
}

// Tools

$("undo").addEventListener("click", () => paper.undo());
$("redo").addEventListener("click", () => paper.redo());
$("clear").addEventListener("click", () => paper.put([]));
for (const button of document.querySelectorAll(".width")) button.addEventListener("click", () => take(button));
$("eraser").addEventListener("click", () => take($("eraser")));

function take(tool) {
  paper.rubbing = tool === $("eraser");
  if (!paper.rubbing) paper.width = Number(tool.dataset.width);
  for (const each of document.querySelectorAll(".width, #eraser")) each.setAttribute("aria-pressed", String(each === tool));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=text]");
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z" && !typing) {
    event.preventDefault();
    event.shiftKey ? paper.redo() : paper.undo();
  } else if (command && event.key.toLowerCase() === "y" && !typing) {
    event.preventDefault();
    paper.redo();
  } else if (!command && !event.altKey && !typing) {
    const widths = document.querySelectorAll(".width");
    if (["1", "2", "3"].includes(event.key)) take(widths[event.key - 1]);
    else if (event.key === "e") take($("eraser"));
    else if (event.key === "p") take([...widths].find((each) => Number(each.dataset.width) === paper.width));
    else if (event.key === "Escape") escape();
  }
});

function escape() {
  if (!$("formats").hidden) menu(false);
  else if (!$("results").hidden) closeResults();
}

// Files

$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files[0]) open($("file").files[0]);
  $("file").value = "";
});

async function open(file) {
  try {
    $("sheet").setAttribute("aria-busy", "true");
    paper.put(fitted((await upload("vectorize", file)).drawing, paper.width));
    calm();
  } catch (problem) {
    problem.message = problem.message.replace(/^Upload(?=:)/, file.name);
    complain(problem);
  } finally {
    $("sheet").removeAttribute("aria-busy");
  }
}

$("sheet").addEventListener("dragover", (event) => {
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  $("sheet").classList.add("over");
});
$("sheet").addEventListener("dragleave", () => $("sheet").classList.remove("over"));
$("sheet").addEventListener("drop", (event) => {
  event.preventDefault();
  $("sheet").classList.remove("over");
  const sketch = event.dataTransfer.getData(KIND);
  if (sketch) put(JSON.parse(sketch));
  else if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => event.clipboardData.files[0] && open(event.clipboardData.files[0]));

function menu(shown) {
  $("formats").hidden = !shown;
  $("save").setAttribute("aria-expanded", String(shown));
  (shown ? $("formats").firstElementChild : $("save")).focus();
}
$("save").addEventListener("click", () => menu($("formats").hidden));
$("formats").addEventListener("keydown", (event) => {
  const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (next) {
    event.preventDefault();
    document.activeElement[next]?.focus();
  }
});
document.addEventListener("pointerdown", (event) => {
  if (!$("formats").hidden && !event.target.closest(".last")) menu(false);
});
for (const button of $("formats").children) {
  button.addEventListener("click", async () => {
    menu(false);
    try {
      download(await content(button.dataset.as), { moving: "svg" }[button.dataset.as] ?? button.dataset.as);
      calm();
    } catch (problem) {
      complain(problem);
    }
  });
}

async function content(kind) {
  if (kind === "png") return paper.picture();
  const animate = kind === "moving" || kind === "gif";
  const { svg, ndjson, gif } = await ask("vectorize", { drawing: sent(paper.strokes), animate });
  if (kind === "gif") return new Blob([Uint8Array.from(atob(gif), (letter) => letter.charCodeAt(0))], { type: "image/gif" });
  return kind === "ndjson" ? new Blob([ndjson], { type: "application/x-ndjson" }) : new Blob([svg], { type: "image/svg+xml" });
}

function download(blob, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `sketch.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Results

const cards = new Cards($("cards"), (sketch) => put(sketch.drawing));
const picker = new Picker($("what"), $("classes"));
let running = null; // what is being asked, to be called off by the next
let once_more = null;

function put(drawing) {
  paper.put(fitted(drawing, paper.width));
  if ($("sheet").getBoundingClientRect().top < 0) $("sheet").scrollIntoView({ block: "start" });
}

/** Ask for something that takes long, and show how it comes. `show` puts the answer on the page, `at` is where to look. */
async function want({ title, verb, body, count, few, show, again, given, at = $("results") }) {
  running?.abort();
  const mine = (running = new AbortController());
  once_more = again ?? null;
  $("results").hidden = false;
  $("results").dataset.of = verb;
  entitle(title);
  $("again").hidden = $("change").hidden = $("way").hidden = true;
  $("overlay").replaceChildren();
  calm();
  cards.wait(count, few);
  progress("waiting", 0, 1);
  at.scrollIntoView({ block: "nearest", behavior: "smooth" });
  try {
    const told = (name, data) => hear(name, data, given);
    const answer = await (count ? watch(verb, body, told, mine.signal) : ask(verb, body, mine.signal));
    if (running !== mine) return;
    progress();
    $("again").hidden = !again;
    show(answer);
    at.scrollIntoView({ block: "nearest", behavior: "smooth" });
  } catch (problem) {
    if (running !== mine || problem.name === "AbortError") return;
    closeResults();
    complain(problem);
  }
}

function entitle(words) {
  $("results").querySelector("h2").textContent = words;
}

function hear(name, data, given) {
  if (name === "leaves") return cards.leaves(data.leaves);
  const { drawings, pictures, size, shares, done, total } = data;
  if (drawings) cards.strokes(drawings, size, shares, given);
  else if (pictures) cards.frame(name, pictures, done);
  if (shares) progress(name, shares.reduce((a, b) => a + b), shares.length);
  else progress(name, done, total);
}

const DOING = {
  waiting: "Thinking …",
  coarse: "First the whole, coarse …",
  strokes: "Stroke by stroke …",
  refine: "Now leaf by leaf, each seeing its surroundings …",
};

function progress(stage, done, total) {
  $("progress").hidden = !stage;
  $("doing").textContent = stage ? DOING[stage === "coarse" && studio.strokes ? "strokes" : stage] : "";
  const first = studio.strokes ? 1 : 0.7; // strokes are not refined
  const share = stage === "refine" ? 0.7 + (0.3 * done) / total : stage === "coarse" ? (first * done) / total : 0;
  $("progress").style.setProperty("--share", share);
  $("progress").setAttribute("aria-valuenow", Math.round(100 * share));
}

function closeResults() {
  running?.abort();
  running = null;
  progress();
  $("results").hidden = true;
  delete $("results").dataset.of;
  $("overlay").replaceChildren();
}

const seed = () => Math.floor(Math.random() * 2 ** 32);
const brief = (name) => name.replace(/\.\w+(?=#|$)/, ""); // no ending: cards are narrow
const similarity = (hit) => Math.max(0, hit.similarity).toFixed(2);
const named = (sketch) => ({ ...sketch, caption: [sketch.class, percent(sketch.probability)] });

function generate(label) {
  const name = `${a(label)[0].toUpperCase()}${a(label).slice(1)}`;
  want({
    title: `${name}: ${number(EFFORT.drawn)} tries`,
    verb: "generate",
    body: { class: label, n: EFFORT.drawn, tries: 1, seed: seed(), detail: DETAIL[$("detail").value] },
    count: EFFORT.drawn,
    again: () => generate(label),
    show: ({ sketches }) => {
      entitle(`${name}: ${EFFORT.drawn > KEPT ? `the ${number(KEPT)} likeliest` : number(KEPT)}`);
      $("doing").textContent = "Drag one onto the paper, or click it.";
      const best = sketches.sort((one, two) => two.probability - one.probability).slice(0, KEPT);
      cards.show(best.map(named));
    },
  });
}

function finish() {
  const drawing = sent(paper.strokes);
  want({
    title: `Finishing it: ${number(KEPT * EFFORT.tries)} tries`,
    verb: "complete",
    body: { drawing, n: KEPT, tries: EFFORT.tries, seed: seed() },
    count: KEPT * EFFORT.tries,
    given: drawing.length,
    again: finish,
    show: ({ sketches }) => {
      const more = sketches.filter(({ added }) => added > 0);
      entitle(`${NUMBERS[more.length]} way${more.length === 1 ? "" : "s"} to finish it`);
      $("doing").textContent = more.length
        ? `${EFFORT.tries > 1 ? "Of every two tries the better. " : ""}Your lines stay; what is new is coloured.`
        : "No try added anything: it looks finished. Try again, or draw on.";
      cards.show(more.map(named));
    },
  });
}

const DETAIL = ["few", "usual", "many"];
$("detail").addEventListener("input", () => {
  const words = DETAIL[$("detail").value];
  $("detail").nextElementSibling.textContent = words;
  $("detail").setAttribute("aria-valuetext", words);
});

// What can be done with a card

const named_points = (drawing) => drawing.map(([x, y]) => ({ x, y }));
let start = null; // the drawing that is to become another

function vary(sketch) {
  want({
    title: `More like this ${sketch.class}`,
    verb: "vary",
    body: { drawing: named_points(sketch.drawing), class: sketch.class, n: KEPT, seed: seed() },
    count: KEPT,
    again: () => vary(sketch),
    show: ({ sketches }) => {
      $("doing").textContent = "The same strokes, partly drawn anew.";
      cards.show(sketches.map(named));
    },
  });
}

function choose(sketch, button) {
  const first = start;
  start = first === sketch ? null : sketch;
  for (const each of $("cards").querySelectorAll("[aria-pressed]")) each.setAttribute("aria-pressed", String(each === button && Boolean(start)));
  if (!first || first === sketch) {
    $("doing").textContent = start ? "Now the same on the drawing that it is to become." : "";
    return;
  }
  start = null;
  morph(first, sketch);
}

function morph(first, last) {
  const words = first.class === last.class ? `From one ${first.class} to another` : `From ${a(first.class)} to ${a(last.class)}`;
  want({
    title: words,
    verb: "morph",
    body: { drawing: named_points(first.drawing), to: named_points(last.drawing), class: first.class, to_class: last.class, seed: seed() },
    count: 1,
    few: true,
    again: () => morph(first, last),
    show: (answer) => {
      const sketch = { ...answer, class: first.class, drawing: answer.drawings[0], caption: [first.class, last.class] };
      cards.show([sketch], true);
      $("way").hidden = false;
      walk = { answer, sketch };
      stroll();
    },
  });
}

let walk = null; // the morph that the slider goes through

/** The drawing at a share of the way: stroke i has as many points in every step. */
function midway({ drawings }, share) {
  const place = share * (drawings.length - 1), low = Math.min(Math.floor(place), drawings.length - 2), far = place - low;
  const mix = (from, to) => from.map((value, k) => value + far * (to[k] - value));
  return drawings[low].map(([x, y], i) => [mix(x, drawings[low + 1][i][0]), mix(y, drawings[low + 1][i][1])]);
}

function show_midway(share) {
  walk.sketch.drawing = midway(walk.answer, share);
  walk.sketch.class = walk.answer.classes[share < 0.5 ? 0 : 1];
  cards.redraw(0, walk.sketch);
}

/** Once from the first to the last, by itself; a hand on the slider stops it. */
function stroll() {
  $("share").value = 0;
  show_midway(0);
  if (still.matches) return;
  const mine = walk, began = performance.now();
  const step = (now) => {
    if (walk !== mine || mine.held || $("way").hidden) return;
    const share = Math.min(1, Math.max(0, (now - began) / 2400));
    $("share").value = 100 * share;
    show_midway(share);
    if (share < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
$("share").addEventListener("input", () => {
  walk.held = true;
  show_midway($("share").value / 100);
});

function refine() {
  const drawing = sent(paper.strokes), strength = Number($("strength").value);
  want({
    title: "Drawn again",
    verb: "refine",
    body: { drawing, strength, seed: seed() },
    count: 1,
    few: true,
    again: refine,
    show: ({ sketches }) => {
      $("doing").textContent = `Taken for ${a(sketches[0].class)}.`;
      $("change").hidden = false;
      cards.show(sketches.map(named), true);
    },
  });
}

function similar() {
  want({
    title: `Most like it in ${studio.index}`,
    verb: "search",
    body: { drawing: sent(paper.strokes), n: 12 },
    count: 0,
    show: ({ found, drawings }) => {
      $("doing").textContent = found.length ? `Of ${drawings.toLocaleString("en")} drawings.` : "There is no drawing in it.";
      cards.show(found.map((hit) => ({ ...hit, caption: [hit.label ?? brief(hit.name), similarity(hit)] })));
    },
  });
}

function why() {
  want({
    title: "Why?",
    verb: "explain",
    body: { drawing: sent(paper.strokes) },
    count: 0,
    at: $("sheet"),
    show: ({ label, words, leaves }) => {
      entitle(`Why ${a(label)}?`);
      $("doing").textContent = words;
      showVotes($("overlay"), leaves);
    },
  });
}

$("refine").addEventListener("click", refine);
$("strength").addEventListener("change", refine);
$("finish").addEventListener("click", finish);
$("similar").addEventListener("click", similar);
$("why").addEventListener("click", why);
$("again").addEventListener("click", () => once_more?.());
$("close").addEventListener("click", closeResults);
$("wish").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!picker.labels.length) return;
  const label = picker.label;
  if ($("what").value.trim()) $("what").value = label;
  generate(label);
});

// Trouble

function complain(problem) {
  $("trouble").firstElementChild.textContent = problem.message;
  $("trouble").dataset.of = problem.status === 0 ? "live" : "ask";
  $("trouble").hidden = false;
}

function calm() {
  $("trouble").hidden = true;
}
$("trouble").lastElementChild.addEventListener("click", calm);

// Start

showGuess(null);
$("file").accept = OPENS;
for (const button of [...$("formats").children]) if (!SAVES.includes(button.dataset.as)) button.remove();
if (API) Object.assign($("api"), { href: API, hidden: false });
try {
  studio = { ...(await about()) };
  studio.strokes = studio.verbs.includes("vary");
  $("amount").hidden = !studio.strokes;
  const acts = [
    { verb: "vary", icon: "i-more", name: "More like this", act: vary },
    { verb: "morph", icon: "i-morph", name: "Morph", act: choose, pressed: (sketch) => sketch === start },
  ];
  cards.acts = acts.filter(({ verb }) => studio.verbs.includes(verb));
  picker.labels = studio.labels;
  $("similar").hidden = !studio.verbs.includes("search");
  const shown = { refine: "refine", finish: "complete", why: "explain", wish: "generate" };
  for (const [id, verb] of Object.entries(shown)) $(id).hidden = !studio.verbs.includes(verb);
} catch (problem) {
  complain(problem);
}
const before = kept();
if (before.length) paper.put(before);
else if (studio.verbs?.includes("complete")) begin(paper, still.matches);
document.body.dataset.ready = "true";
const loading = "Getting ready …";
$("first").textContent = loading;
await ready.catch(complain);
if ($("first").textContent === loading) showGuess(null);
