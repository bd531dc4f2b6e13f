// The page: what is on the screen, and what the keys do.
import { askName, showCard, showNote, toast } from "./cards.js";
import { askFix, askReason, dialogIsOpen, showAgreement, showKeys, typeIntoDialog } from "./dialogs.js";
import { showDock } from "./dock.js";
import { keyGroups, legend } from "./legend.js";
import { lightbox, zoom } from "./lightbox.js";
import { drawProgress, drawSaved } from "./progress.js";
import { ratable } from "./rules.js";
import { get, Session } from "./session.js";
import { applyTheme, recall, remember, switchTheme } from "./settings.js";
import { keyOf, press, Turns } from "./turns.js";
import { blank, showItem, toggleLong } from "./view.js";

const $ = (id) => document.getElementById(id);
const LONGEST = 180; // seconds on one item that count for the pace; longer is a pause
const PATIENCE = 400; // milliseconds for which the item before may stay on the screen
const DOUBLE = 600; // milliseconds within which two clicks may be one double click
const AGAIN = 2000; // milliseconds until what did not arrive is asked for again

let setup, session;
let current = null; // key of the item that keys are for: it is on the screen, or waited for
let again; // the timer of the next try
let atEnd = false; // all is rated, and the server has not yet said what comes then
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
    return card("The server can't be reached", String(error.message), ["Try again", start]);
  }
  document.title = setup.mode === "questions" ? "Review of questions" : "Judging responses";
  askName(setup, recall("annotator") ?? "", begin);
}

/** A card in the place of an item; its button comes before keys that wait. */
const card = (title, text, button) => showCard(title, text, button && [button[0], () => turns.next(button[1]), button[2]]);

const begin = (name) => turns.act(() => enter(name));

async function enter(name) {
  session = new Session(setup, name, { saved: drawSaved, settled, refused });
  try {
    await session.load(1);
  } catch (error) {
    session = null;
    turns.clear(); // they were typed into this form
    return askName(setup, name, begin, error.message);
  }
  remember("annotator", session.annotator);
  $("who").textContent = session.annotator;
  $("legend").replaceChildren(...legend(setup.mode));
  for (const id of ["bar", "filters", "legend"]) $(id).hidden = false;
  drawSaved(session.outbox);
  return nextUnrated(null);
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
  if (next) return go(next.key);
  return toast(step > 0 ? "This is the last one" : "This is the first one");
}

/** Make an item the current one. What is pressed from now on is for it, also when it takes long to arrive. */
async function go(target) {
  current = target;
  since = Date.now();
  showProgress();
  const arrival = session.item(target).then(arrived, (error) => waitFor(target, error.message));
  arrival.catch((error) => toast(error.message, true)); // when nobody waits for it any more
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE)).then(() => waitFor(target, "the server is slow"));
  await Promise.race([arrival, patience]);
}

function arrived(item) {
  if (current !== item.key) return undefined;
  if (!item.open && !session.byKey.get(item.key).done && !Object.keys(session.state(item.key)).length) {
    // Enough others have begun it since the queue was made.
    session.queue = session.queue.filter((entry) => entry.key !== item.key);
    return nextUnrated(item.key);
  }
  if (!isShown(item.key)) scrollTo(0, 0);
  $("card").hidden = true;
  $("item").hidden = false;
  draw(item);
  session.ahead(session.unratedFrom(item.key, filter));
  return turns.run();
}

const isShown = (key) => key !== null && !$("item").hidden && $("content").dataset.key === key;

/** What is not there yet is tried again, and keys that decide nothing stay free: undo, going back. */
function waitFor(target, why) {
  if (current !== target || isShown(target)) return;
  card("Waiting for the server", `The next one is not here yet: ${why}. What you decided is kept in this browser.`, ["Try again", () => go(target)]);
  showWaiting();
  clearTimeout(again);
  again = setTimeout(() => current === target && !isShown(target) && go(target), AGAIN);
}

function showWaiting() {
  const keys = turns.waiting.length === 1 ? "1 key" : `${turns.waiting.length} keys`;
  showNote(turns.blocked ? `${keys} that you pressed will be taken when it is here. Esc drops them.` : "");
}

async function redraw() {
  const item = current !== null && (await session.item(current));
  if (item && item.key === current) draw(item);
}

function draw(item) {
  const state = session.state(item.key);
  $("content").dataset.key = item.key;
  const shown = JSON.stringify([item.key, state.fix ?? null, session.round]);
  if ($("content").dataset.shown !== shown) {
    showItem(setup, item, state.fix);
    $("content").dataset.shown = shown;
  }
  active = firstUnrated(state);
  showDock(setup, state, active, clicksOn(item.key));
  showProgress();
}

function firstUnrated(state) {
  if (setup.mode === "responses" && state.refused === undefined) return null;
  return ratable(setup.mode, setup.scales, state).find((scale) => !(scale.name in state))?.name ?? null;
}

function showProgress() {
  drawProgress(setup, session, { filter, paces, choose: (name) => turns.act(() => choose(name)) });
}

function choose(name) {
  filter = name;
  return nextUnrated(null);
}

function cycleCategory() {
  const names = [null, ...Object.keys(setup.by_category).filter((name) => session.queue.some((entry) => entry.category === name))];
  return choose(names[(names.indexOf(filter) + 1) % names.length]);
}

// --- deciding ----------------------------------------------------------------------------------------

async function decide(fields, words) {
  const target = current;
  const finished = await session.decide(target, fields);
  if (finished) {
    await redraw(); // until the next one is here, this one shows what was decided
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
      return askReason("Why is it rejected?", setup.reasons, (note) => turns.next(() => decideOrAsk({ decision: "reject", note }, "Rejected")));
    const item = await session.item(current);
    return askFix(setup, item, { ...item, ...(state.fix ?? {}) }, (fix) => turns.next(() => decideOrAsk({ decision: "fix", fix }, "Fixed")));
  },
  refused: (value) => decide({ refused: value }),
  unjudged: () => askReason("Why can't it be judged?", setup.reasons, (unjudged) => turns.next(() => decide({ unjudged }, "Set aside"))),
};

/** What is clicked waits its turn, as keys do; but it is for the item that one saw, and for no other. */
const clicksOn = (key) => Object.fromEntries(Object.entries(actions).map(([name, action]) => [name, (...given) =>
  turns.act(() => (current === key && isShown(key) ? action(...given) : toast("That click was for the item before: not taken", true)))]));

async function decideOrAsk(fields, words) {
  await decide(fields, `${words}. U takes it back`);
  if (current !== null && session.state(current).decision && !session.byKey.get(current).done)
    toast(`${words}. Still to rate: ${setup.scales.filter((scale) => !(scale.name in session.state(current))).map((scale) => scale.name).join(", ")}`);
}

async function undo() {
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
  showDock(setup, session.state(current), active, clicksOn(current));
}

function settled(item) {
  turns.next(() => (item === current && isShown(item) ? redraw() : showProgress()));
}

/** The server did not take a decision: what it has is shown instead. */
function refused(why) {
  toast(`Not taken: ${why}`, true);
  if (session) turns.next(reload);
}

async function reload() {
  try {
    await session.load(session.round);
  } catch (error) {
    setTimeout(() => turns.next(reload), AGAIN);
    throw error;
  }
  return current === null ? showEnd() : session.byKey.has(current) ? redraw() : nextUnrated(null);
}

// --- the end, and the second pass --------------------------------------------------------------------

async function showEnd() {
  current = null;
  atEnd = false;
  const all = session.queue.every((entry) => entry.done);
  if (!all && filter !== null) {
    const name = setup.categories[filter].label;
    showProgress();
    return card(`${name}: all done`, "The other categories have more for you.", ["All categories", () => choose(null), "C"]);
  }
  const late = setTimeout(() => card("All rated here", "What you decided is being saved."), PATIENCE);
  try {
    await session.load(session.round);
  } catch (error) {
    return waitForEnd(error);
  } finally {
    clearTimeout(late);
  }
  if (session.queue.some((entry) => !entry.done)) return nextUnrated(null); // others left something
  showProgress();
  const { wanted, ready, drawn, done } = session.second;
  if (session.round === 2) return card("The second pass is done", "Thank you. How far you agree with yourself is under Agreement.", ["Back to the first pass", secondPass, "P"]);
  if (drawn && done === drawn) return card("All done, twice", "Thank you. Nothing is left for you here.", ["Progress and agreement", agreement, "I"]);
  if (!wanted || !ready) return card("All done", "Thank you. Nothing is left for you here.", ["Progress and agreement", agreement, "I"]);
  return card("All done, once", drawn ? `Of the second pass, ${drawn - done} of ${drawn} are left.`
    : "Last, a blind second pass: some of your own items again, without what you said first. It shows how far one agrees with oneself.",
    [drawn ? "Go on with the second pass" : "Begin the second pass", secondPass, "P"]);
}

/** The server says whether something is left; until it can be asked, nothing is promised. */
function waitForEnd(error) {
  atEnd = true;
  showProgress();
  card("All rated here", `Whether something is left for you is not known yet: ${error.message}. What you decided is kept in this browser.`, ["Try again", showEnd]);
  clearTimeout(again);
  again = setTimeout(() => atEnd && current === null && turns.next(showEnd), AGAIN);
}

async function secondPass() {
  try {
    if (session.round === 1) await session.drawSecondPass();
    await session.load(session.round === 1 ? 2 : 1);
  } catch (error) {
    return toast(error.message, true);
  }
  blank(); // nothing that was decided in one pass is to be seen in the other
  filter = null;
  toast(session.round === 2 ? "Second pass: what you said first is not shown" : "First pass");
  return session.round === 2 || session.queue.some((entry) => !entry.done) ? nextUnrated(null) : go(session.queue[0].key);
}

// --- small things ------------------------------------------------------------------------------------

// Keys do not wait until these two are through.
const agreement = () => void showAgreement(get(`/api/agreement?${session.query()}`), write);
const write = () => void session.write().then(toast, (error) => toast(error.message, true));

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

/** Whether a key decides something about an item. */
function decides({ name, ctrl }) {
  if (ctrl) return false;
  const others = setup.mode === "questions" ? ["y", "n", "x"] : ["a", "f", "r"];
  return /^[0-9]$/.test(name) || (name in DECIDING && !others.includes(name));
}

/** What a key does on the page as it is now; undefined: nothing. */
function meaning(key) {
  const { name } = key;
  if (lightbox.open) return ["z", "escape"].includes(name) ? zoom : undefined;
  if (key.repeat) return undefined;
  if (key.ctrl) return name === "z" ? undo : undefined;
  if (decides(key)) return !isShown(current) ? undefined : name in DECIDING ? DECIDING[name] : () => digit(Number(name));
  return KEYS[name];
}

const turns = new Turns({
  take(key) {
    if (dialogIsOpen()) return typeIntoDialog(key) || toast(`The page was not ready for this key, and did not take it: ${key.key}`, true);
    const action = meaning(key);
    if (action) return action();
    return press(key, document.body);
  },
  mustWait: (key) => !dialogIsOpen() && !lightbox.open
    && ((current !== null && !isShown(current) && decides(key)) || (atEnd && current === null && key.name === "p")),
  failed: (error) => toast(error.message, true),
  changed: showWaiting,
});

// On a page that has nothing else to do, dialogs and buttons get their keys from the browser.
turns.listen((key) => session && !dialogIsOpen() && (turns.mustWait(key) || meaning(key) !== undefined), () => Boolean(session));

// The second click of a double one is not for the item that the first has led to.
$("dock").addEventListener("click", (event) => event.detail > 1 && Date.now() - since < DOUBLE && event.stopPropagation(), true);
$("undo").addEventListener("click", () => turns.act(undo));
$("back").addEventListener("click", () => turns.act(() => browse(-1)));
$("forth").addEventListener("click", () => turns.act(() => browse(1)));
$("open-agreement").addEventListener("click", () => turns.act(agreement));
$("open-keys").addEventListener("click", () => turns.act(KEYS["?"]));
start();
