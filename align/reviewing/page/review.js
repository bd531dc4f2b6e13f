// The page: what is on the screen, and what the keys do.
import { askFix, askReason, close, isOpen, showAgreement, showKeys } from "./dialogs.js";
import { showDock } from "./dock.js";
import { ratable } from "./rules.js";
import { get, post, Session } from "./session.js";
import { el, key, showText } from "./text.js";
import { showItem, toggleLong } from "./view.js";

const $ = (id) => document.getElementById(id);
const LONGEST = 180; // seconds on one item that count for the pace; longer is a pause

let setup, session;
let current = null; // key of the item on the screen
let active = null; // the scale that digits go to; null: none, or the question whether it was refused
let filter = null; // category
let paces = [];
let since = Date.now();
let toastTimer;

const COMMON = [
  [["U", "Ctrl Z"], "take the last decision back, again and again"],
  [["J"], "to the next one that is not rated"],
  [["←", "→"], "back and forth in your order"],
  [["C"], "next category, then all again"],
  [["Z"], "enlarge the image"],
  [["D"], "long texts in full"],
  [["I"], "progress and agreement"],
  [["W"], "write the exports"],
  [["P"], "second pass, or back to the first"],
  [["T"], "light or dark"],
  [["?"], "this list"],
];
const OWN = {
  questions: [
    [["1", "2", "3"], "rate the marked row, and on to the next row"],
    [["↑", "↓"], "mark another row"],
    [["A"], "accept"],
    [["F"], "fix its words, category or reason"],
    [["R"], "reject, with a reason"],
  ],
  responses: [
    [["Y", "N"], "it declined to answer, or it did not"],
    [["1", "…", "9", "0"], "rate the marked row from 1 to 10"],
    [["↑", "↓"], "mark another row"],
    [["X"], "it can't be judged, with a reason"],
  ],
};
const SHORT = {
  questions: [["1–3", "rate"], ["↑ ↓", "row"], ["A", "accept"], ["F", "fix"], ["R", "reject"]],
  responses: [["Y", "declined"], ["N", "answered"], ["1–0", "rate 1–10"], ["↑ ↓", "row"], ["X", "can't judge"]],
};
const SHORT_COMMON = [["U", "undo"], ["J", "next unrated"], ["← →", "browse"], ["C", "category"], ["Z", "enlarge"], ["?", "all keys"]];

// --- the start ---------------------------------------------------------------------------------------

async function start() {
  applyTheme(localStorage.getItem("mohoalign-theme"));
  try {
    setup = await get("/api/setup");
  } catch (error) {
    return showCard("The server can't be reached", String(error.message), ["Try again", start]);
  }
  document.title = setup.mode === "questions" ? "Review of questions" : "Judging responses";
  askName(sessionStorage.getItem("mohoalign-annotator") ?? localStorage.getItem("mohoalign-annotator") ?? "");
}

function askName(suggested, complaint = "") {
  const name = setup.annotators
    ? el("select", { id: "name", "aria-label": "Your name" }, ...setup.annotators.map((one) => el("option", { value: one, selected: one === suggested }, one)))
    : el("input", { id: "name", "aria-label": "Your name", autocomplete: "name", maxlength: 40, spellcheck: "false", value: suggested, placeholder: "Your name" });
  const form = el("form", {
    onsubmit: (event) => {
      event.preventDefault();
      if (name.value.trim()) enter(name.value.trim());
    },
  }, name, el("button", { class: "main" }, "Begin ", key("Enter")));
  const what = setup.mode === "questions"
    ? "For each question: is it sound, is it novel, does it differ from the others? Then accept it, fix it, or reject it."
    : "For each response: did the model decline to answer, how good is the reason it gave, and how helpful is it? Which model wrote it is not shown.";
  card(
    el("p", { class: "eyebrow" }, setup.mode === "questions" ? "Review of questions" : "Judging responses"),
    el("h1", {}, `${setup.items} ${setup.mode === "questions" ? "questions about images" : "responses about images"}`),
    el("p", { class: "lede" }, what),
    el("ul", { class: "categories" }, ...Object.keys(setup.by_category).map((name) =>
      el("li", {}, el("b", { class: `pill c-${name}` }, setup.categories[name].label), el("span", { class: "n" }, String(setup.by_category[name])), el("span", {}, setup.categories[name].definition)))),
    form, el("p", { class: "complaint", role: "alert", text: complaint }),
    el("p", { class: "soft" }, "Each decision is saved as you make it. You can close this page at any time and go on later under the same name."));
  name.focus();
}

async function enter(name) {
  session = new Session(setup, name, { saved: showSaved, settled, refused: (why) => toast(`Not taken: ${why}`, true) });
  try {
    await session.load(1);
  } catch (error) {
    return askName(name, error.message);
  }
  try {
    localStorage.setItem("mohoalign-annotator", session.annotator);
    sessionStorage.setItem("mohoalign-annotator", session.annotator);
  } catch {
    // A browser that keeps nothing asks for the name again; the outbox says so where it matters.
  }
  $("who").textContent = session.annotator;
  $("legend").replaceChildren(...[...SHORT[setup.mode], ...SHORT_COMMON].map(([names, what]) => el("span", {}, ...names.split(" ").map(key), what)));
  for (const id of ["bar", "filters", "legend"]) $(id).hidden = false;
  showSaved(session.outbox);
  nextUnrated(null);
}

// --- where one is ------------------------------------------------------------------------------------

const visible = () => session.queue.filter((entry) => filter === null || entry.category === filter);

function unratedFrom(key) {
  const entries = visible();
  const at = entries.findIndex((entry) => entry.key === key);
  return [...entries.slice(at + 1), ...entries.slice(0, at + 1)].filter((entry) => !entry.done).map((entry) => entry.key);
}

async function nextUnrated(from) {
  const [next] = unratedFrom(from);
  if (next === undefined) return showEnd();
  return go(next);
}

function browse(step) {
  const entries = visible();
  const at = entries.findIndex((entry) => entry.key === current);
  const next = entries[at + step];
  if (next) go(next.key);
  else toast(step > 0 ? "This is the last one" : "This is the first one");
}

async function go(target) {
  current = target;
  since = Date.now();
  showProgress();
  let item;
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    try {
      item = await session.item(target);
      break;
    } catch (error) {
      if (current !== target) return;
      toast(`Waiting for the next one: ${error.message}`, true, wait);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    if (current !== target) return;
  }
  if (current !== target) return;
  if (!item.open && !session.byKey.get(target).done && !Object.keys(session.state(target)).length) {
    // Enough others have begun it since the queue was made.
    session.queue = session.queue.filter((entry) => entry.key !== target);
    return nextUnrated(target);
  }
  $("card").hidden = true;
  $("item").hidden = false;
  draw(item);
  scrollTo(0, 0);
  session.ahead(unratedFrom(target));
}

async function redraw() {
  if (current === null) return showEnd();
  draw(await session.item(current));
}

function draw(item) {
  const state = session.state(item.key);
  const shown = JSON.stringify([item.key, state.fix ?? null, session.round]);
  if ($("content").dataset.shown !== shown) {
    showItem(setup, item, state.fix);
    $("content").dataset.shown = shown;
  }
  active = firstUnrated(state);
  showDock(setup, state, active, actions);
  showProgress();
}

function firstUnrated(state) {
  if (setup.mode === "responses" && state.refused === undefined) return null;
  return ratable(setup.mode, setup.scales, state).find((scale) => !(scale.name in state))?.name ?? null;
}

function showProgress() {
  const entries = visible();
  const done = entries.filter((entry) => entry.done).length;
  $("done").textContent = String(done);
  $("total").textContent = ` of ${entries.length}`;
  $("fill").style.width = `${entries.length ? (100 * done) / entries.length : 0}%`;
  $("track").setAttribute("aria-valuenow", String(done));
  $("track").setAttribute("aria-valuemax", String(entries.length));
  $("second-mark").hidden = session.round !== 2;
  const pace = paces.length >= 3 ? [...paces].sort((a, b) => a - b)[Math.floor(paces.length / 2)] : null;
  const left = pace === null ? 0 : Math.round(((entries.length - done) * pace) / 60);
  $("pace").textContent = pace === null || done === entries.length ? "" : `${Math.max(1, Math.round(pace))} s each, ${left < 1 ? "under a minute" : `about ${left} min`} left`;
  const names = Object.keys(setup.by_category);
  const chip = (name, label) => {
    const of = session.queue.filter((entry) => name === null || entry.category === name);
    const left = of.filter((entry) => !entry.done).length;
    if (!of.length) return null;
    return el("button", { class: `chip${filter === name ? " chosen" : ""}`, "aria-pressed": String(filter === name), onclick: () => choose(name) },
      label, el("span", { class: "n", title: `${left} not rated` }, left ? String(left) : "✓"));
  };
  $("filters").replaceChildren(...[chip(null, "All"), ...names.map((name) => chip(name, setup.categories[name].label))].filter(Boolean));
}

function choose(name) {
  filter = name;
  nextUnrated(null);
}

function cycleCategory() {
  const names = [null, ...Object.keys(setup.by_category).filter((name) => session.queue.some((entry) => entry.category === name))];
  choose(names[(names.indexOf(filter) + 1) % names.length]);
}

// --- deciding ----------------------------------------------------------------------------------------

async function decide(fields, words) {
  const target = current;
  const finished = await session.decide(target, fields);
  if (finished) {
    paces = [...paces, Math.min(LONGEST, (Date.now() - since) / 1000)].slice(-25);
    if (words) toast(words);
    return nextUnrated(target);
  }
  return redraw();
}

const actions = {
  rate: (name, number) => decide({ [name]: number }),
  decide: async (name) => {
    const state = session.state(current);
    if (name === "accept") return decideOrAsk({ decision: "accept" }, "Accepted");
    if (name === "reject")
      return askReason("Why is it rejected?", setup.reasons, (note) => decideOrAsk({ decision: "reject", note }, "Rejected"));
    const item = await session.item(current);
    return askFix(setup, item, { ...item, ...(state.fix ?? {}) }, (fix) => decideOrAsk({ decision: "fix", fix }, "Fixed"));
  },
  refused: (value) => decide({ refused: value }),
  unjudged: () => askReason("Why can't it be judged?", setup.reasons, (unjudged) => decide({ unjudged }, "Set aside")),
};

async function decideOrAsk(fields, words) {
  await decide(fields, `${words}. U takes it back`);
  if (current !== null && session.state(current).decision && !session.byKey.get(current).done)
    toast(`${words}. Still to rate: ${setup.scales.filter((scale) => !(scale.name in session.state(current))).map((scale) => scale.name).join(", ")}`);
}

async function undo() {
  const [last] = session.trail.slice(-1);
  if (last && last.before === null && session.outbox.trouble) return toast("That can be taken back when the server is there again", true);
  const target = session.undo();
  if (target === null) return toast("Nothing left to take back");
  toast("Taken back");
  if (filter !== null && session.byKey.get(target)?.category !== filter) filter = null;
  return go(target);
}

function digit(number) {
  const scale = setup.scales.find((one) => one.name === active);
  const value = number === 0 ? 10 : number;
  if (!scale) return;
  if (value < scale.low || value > scale.high) return toast(`${scale.name} goes from ${scale.low} to ${scale.high}`);
  actions.rate(scale.name, value);
}

function moveRow(step) {
  const names = ratable(setup.mode, setup.scales, session.state(current)).map((scale) => scale.name);
  const at = names.indexOf(active);
  active = names[at < 0 ? (step > 0 ? 0 : names.length - 1) : (at + step + names.length) % names.length];
  showDock(setup, session.state(current), active, actions);
}

function settled(item) {
  if (item === current && !isOpen()) redraw();
  else showProgress();
}

// --- the end, and the second pass --------------------------------------------------------------------

async function showEnd() {
  current = null;
  const all = session.queue.every((entry) => entry.done);
  if (!all && filter !== null) {
    const name = setup.categories[filter].label;
    showProgress();
    return showCard(`${name}: all done`, "The other categories have more for you.", ["All categories", () => choose(null), "C"]);
  }
  await session.load(session.round).catch(() => {});
  if (session.queue.some((entry) => !entry.done)) return nextUnrated(null); // others left something
  showProgress();
  const { wanted, ready, drawn, done } = session.second;
  if (session.round === 2) return showCard("The second pass is done", "Thank you. How far you agree with yourself is under Agreement.", ["Back to the first pass", secondPass, "P"]);
  if (drawn && done === drawn) return showCard("All done, twice", "Thank you. Nothing is left for you here.", ["Progress and agreement", agreement, "I"]);
  if (!wanted || !ready) return showCard("All done", "Thank you. Nothing is left for you here.", ["Progress and agreement", agreement, "I"]);
  return showCard("All done, once", drawn ? `Of the second pass, ${drawn - done} of ${drawn} are left.`
    : "Last, a blind second pass: some of your own items again, without what you said first. It shows how far one agrees with oneself.",
    [drawn ? "Go on with the second pass" : "Begin the second pass", secondPass, "P"]);
}

async function secondPass() {
  try {
    if (session.round === 1) {
      await session.outbox.flush();
      await post("/api/second-pass", { annotator: session.annotator });
    }
    filter = null;
    await session.load(session.round === 1 ? 2 : 1);
  } catch (error) {
    return toast(error.message, true);
  }
  return session.round === 2 || session.queue.some((entry) => !entry.done) ? nextUnrated(null) : go(session.queue[0].key);
}

// --- small things ------------------------------------------------------------------------------------

function showCard(title, text, [label, action, letter]) {
  card(el("h1", {}, title), el("p", { class: "lede", text }), el("p", {}, el("button", { class: "main", onclick: action }, letter ? key(letter) : null, label)));
}

function card(...children) {
  $("item").hidden = true;
  $("card").hidden = false;
  $("card").replaceChildren(el("div", {}, ...children));
}

function showSaved(outbox) {
  const waiting = outbox.pending().length;
  const node = $("saved");
  node.classList.toggle("waiting", waiting > 0);
  node.classList.toggle("trouble", waiting > 0 && outbox.trouble !== null);
  node.textContent = !waiting ? "Saved" : outbox.trouble ? `${waiting} not saved: ${outbox.trouble}; trying again` : "Saving";
  node.title = outbox.durable ? "What is not saved is kept in this browser until it is." : "This browser keeps nothing: leave this page open until all is saved.";
}

async function agreement() {
  try {
    showAgreement(await get(`/api/agreement?${session.query()}`), write);
  } catch (error) {
    toast(error.message, true);
  }
}

async function write() {
  try {
    await session.outbox.flush();
    const { folder, ...counts } = await post("/api/export", {});
    const words = Object.entries(Object.values(counts)[0]).map(([name, n]) => `${n} ${name}`).join(", ");
    toast(`Written to ${folder}: ${words || "nothing yet"}`);
  } catch (error) {
    toast(error.message, true);
  }
}

function toast(text, bad = false, time = 4000) {
  clearTimeout(toastTimer);
  showText($("toast"), text);
  $("toast").className = bad ? "shown bad" : "shown";
  toastTimer = setTimeout(() => ($("toast").className = ""), time);
}

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  applyTheme(dark ? "light" : "dark");
  localStorage.setItem("mohoalign-theme", dark ? "light" : "dark");
}

function zoom() {
  const box = $("lightbox");
  if (box.open) return box.close();
  if ($("item").hidden || $("zoom").hidden) return undefined;
  $("large").src = $("image").src;
  return box.showModal();
}

const KEYS = {
  u: undo, j: () => nextUnrated(current), arrowleft: () => browse(-1), arrowright: () => browse(1), c: cycleCategory,
  z: zoom, d: toggleLong, i: agreement, w: write, p: secondPass, t: switchTheme,
  "?": () => showKeys(setup.scales, [["Deciding", OWN[setup.mode]], ["Getting about", COMMON]]),
};
const DECIDING = {
  arrowup: () => moveRow(-1), arrowdown: () => moveRow(1),
  a: () => actions.decide("accept"), f: () => actions.decide("fix"), r: () => actions.decide("reject"),
  y: () => actions.refused(true), n: () => actions.refused(false), x: () => actions.unjudged(),
};
const OF_MODE = { questions: ["a", "f", "r"], responses: ["y", "n", "x"] };

let running = Promise.resolve();

addEventListener("keydown", (event) => {
  if (!session?.queue || event.altKey || event.metaKey || event.repeat) return;
  const name = event.key.toLowerCase();
  if ($("lightbox").open) {
    if (name === "z") zoom();
    return;
  }
  if (isOpen() || event.target.closest?.("input, textarea, select")) return;
  if (event.ctrlKey && name !== "z") return;
  const deciding = current !== null && !$("item").hidden;
  const letters = Object.values(OF_MODE).flat();
  const action = event.ctrlKey ? undo
    : deciding && /^[0-9]$/.test(name) ? () => digit(Number(name))
    : deciding && name in DECIDING && (!letters.includes(name) || OF_MODE[setup.mode].includes(name)) ? DECIDING[name]
    : KEYS[name];
  if (!action) return;
  event.preventDefault();
  // One after the other: a fast typist's next key is meant for what the last one leads to.
  running = running.then(action).catch((error) => toast(error.message, true));
});

$("zoom").addEventListener("click", zoom);
$("lightbox").addEventListener("click", zoom);
$("undo").addEventListener("click", undo);
$("back").addEventListener("click", () => browse(-1));
$("forth").addEventListener("click", () => browse(1));
$("open-agreement").addEventListener("click", agreement);
$("open-keys").addEventListener("click", KEYS["?"]);
start();
