// The page: what is on the screen, and what the keys do.
import { askName, showCard, toast } from "./cards.js";
import { askFix, askReason, isOpen, showAgreement, showKeys } from "./dialogs.js";
import { showDock } from "./dock.js";
import { keyGroups, legend } from "./legend.js";
import { drawProgress } from "./progress.js";
import { ratable } from "./rules.js";
import { get, post, Session } from "./session.js";
import { showItem, toggleLong } from "./view.js";

const $ = (id) => document.getElementById(id);
const LONGEST = 180; // seconds on one item that count for the pace; longer is a pause

let setup, session;
let current = null; // key of the item on the screen
let active = null; // the scale that digits go to; null: none, or the question whether it was refused
let filter = null; // category
let paces = [];
let since = Date.now();

// --- the start ---------------------------------------------------------------------------------------

async function start() {
  applyTheme(recall("theme"));
  try {
    setup = await get("/api/setup");
  } catch (error) {
    return showCard("The server can't be reached", String(error.message), ["Try again", start]);
  }
  document.title = setup.mode === "questions" ? "Review of questions" : "Judging responses";
  askName(setup, recall("annotator") ?? "", enter);
}

async function enter(name) {
  session = new Session(setup, name, { saved: showSaved, settled, refused: (why) => toast(`Not taken: ${why}`, true) });
  try {
    await session.load(1);
  } catch (error) {
    return askName(setup, name, enter, error.message);
  }
  remember("annotator", session.annotator);
  $("who").textContent = session.annotator;
  $("legend").replaceChildren(...legend(setup.mode));
  for (const id of ["bar", "filters", "legend"]) $(id).hidden = false;
  showSaved(session.outbox);
  nextUnrated(null);
}

// --- where one is ------------------------------------------------------------------------------------

async function nextUnrated(from) {
  const [next] = session.unratedFrom(from, filter);
  if (next === undefined) return showEnd();
  return go(next);
}

function browse(step) {
  const entries = session.visible(filter);
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
  try {
    item = await session.item(target);
  } catch (error) {
    if (current === target) waitFor(target, error);
    return;
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
  session.ahead(session.unratedFrom(target, filter));
}

/** What is not there yet is tried again, and the keys stay free meanwhile: undo, going back. */
function waitFor(target, error) {
  showCard("Waiting for the server", `The next one is not here yet: ${error.message}. What you decided is kept in this browser.`, ["Try again", () => go(target), ""]);
  setTimeout(() => current === target && !$("card").hidden && go(target), 2000);
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
  showDock(setup, state, active, clicks);
  showProgress();
}

function firstUnrated(state) {
  if (setup.mode === "responses" && state.refused === undefined) return null;
  return ratable(setup.mode, setup.scales, state).find((scale) => !(scale.name in state))?.name ?? null;
}

function showProgress() {
  drawProgress(setup, session, { filter, paces, choose: (name) => act(() => choose(name)) });
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
      return askReason("Why is it rejected?", setup.reasons, (note) => act(() => decideOrAsk({ decision: "reject", note }, "Rejected")));
    const item = await session.item(current);
    return askFix(setup, item, { ...item, ...(state.fix ?? {}) }, (fix) => act(() => decideOrAsk({ decision: "fix", fix }, "Fixed")));
  },
  refused: (value) => decide({ refused: value }),
  unjudged: () => askReason("Why can't it be judged?", setup.reasons, (unjudged) => act(() => decide({ unjudged }, "Set aside"))),
};

// What is clicked waits its turn, as keys do.
const clicks = Object.fromEntries(Object.entries(actions).map(([name, action]) => [name, (...given) => act(() => action(...given))]));

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
  if (!scale) return undefined;
  if (value < scale.low || value > scale.high) return toast(`${scale.name} goes from ${scale.low} to ${scale.high}`);
  return actions.rate(scale.name, value);
}

function moveRow(step) {
  const names = ratable(setup.mode, setup.scales, session.state(current)).map((scale) => scale.name);
  const at = names.indexOf(active);
  active = names[at < 0 ? (step > 0 ? 0 : names.length - 1) : (at + step + names.length) % names.length];
  showDock(setup, session.state(current), active, clicks);
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

function showSaved(outbox) {
  const waiting = outbox.pending().length;
  const node = $("saved");
  node.classList.toggle("waiting", waiting > 0);
  node.classList.toggle("trouble", waiting > 0 && outbox.trouble !== null);
  node.textContent = !waiting ? "Saved" : outbox.trouble ? `${waiting} not saved: ${outbox.trouble}` : "Saving";
  node.title = outbox.durable ? "What is not saved is kept in this browser, and sent again until it is." : "This browser keeps nothing: leave this page open until all is saved.";
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

// A browser that keeps nothing asks again; only the outbox says so, where it matters.
function remember(name, value) {
  try {
    localStorage.setItem(`mohoalign-${name}`, value);
  } catch {
    toast("This browser keeps nothing between visits");
  }
}

function recall(name) {
  try {
    return localStorage.getItem(`mohoalign-${name}`);
  } catch {
    return null;
  }
}

function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  applyTheme(dark ? "light" : "dark");
  remember("theme", dark ? "light" : "dark");
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
  "?": () => showKeys(setup.scales, keyGroups(setup.mode)),
};
const DECIDING = {
  arrowup: () => moveRow(-1), arrowdown: () => moveRow(1),
  a: () => actions.decide("accept"), f: () => actions.decide("fix"), r: () => actions.decide("reject"),
  y: () => actions.refused(true), n: () => actions.refused(false), x: () => actions.unjudged(),
};
const OF_MODE = { questions: ["a", "f", "r"], responses: ["y", "n", "x"] };

let running = Promise.resolve();

/** One action after the other: a fast typist's next key is meant for what the last one leads to. */
function act(action) {
  running = running.then(action).catch((error) => toast(error.message, true));
}

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
  act(action);
});

$("zoom").addEventListener("click", zoom);
$("lightbox").addEventListener("click", zoom);
$("undo").addEventListener("click", () => act(undo));
$("back").addEventListener("click", () => act(() => browse(-1)));
$("forth").addEventListener("click", () => act(() => browse(1)));
$("open-agreement").addEventListener("click", agreement);
$("open-keys").addEventListener("click", KEYS["?"]);
start();
