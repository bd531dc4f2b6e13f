// What stands in the place of an item: the first page, the end, a wait; and short messages.
import { el, key, showText } from "./text.js";

const $ = (id) => document.getElementById(id);

/** The first page: what there is to do, and who does it. */
export function askName(setup, suggested, enter, complaint = "") {
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

/** A card with one thing to do, or with nothing. */
export function showCard(title, text, [label, action, letter] = []) {
  const button = label && el("button", { class: "main", onclick: action }, letter ? key(letter) : null, label);
  card(el("h1", {}, title), el("p", { class: "lede", text }), button && el("p", {}, button), el("p", { class: "soft", id: "note" }));
  if (button) button.focus({ focusVisible: false });
}

/** A word below what stands on the card. */
export function showNote(text) {
  const note = $("note");
  if (note) note.textContent = text;
}

function card(...children) {
  $("item").hidden = true;
  $("card").hidden = false;
  $("card").replaceChildren(el("div", {}, ...children.filter(Boolean)));
}

let toastTimer;

/** Say something for a moment. */
export function toast(text, bad = false, time = 4000) {
  clearTimeout(toastTimer);
  showText($("toast"), text);
  $("toast").className = bad ? "shown bad" : "shown";
  toastTimer = setTimeout(() => ($("toast").className = ""), time);
}
