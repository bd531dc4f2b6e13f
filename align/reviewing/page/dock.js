// The controls that a judgment is made with: one row a scale, and the decision.
import { el, key } from "./text.js";
import { ratable } from "./rules.js";

const $ = (id) => document.getElementById(id);
const LABELS = { accept: "Accept", fix: "Fix", reject: "Reject" };

/** Draw the dock. `active` is the name of the scale that digits go to. */
export function showDock(setup, state, active, actions) {
  const open = new Set(ratable(setup.mode, setup.scales, state).map((scale) => scale.name));
  const rows = setup.scales.map((scale) => row(scale, state, scale.name === active, open.has(scale.name), actions));
  const decide = setup.mode === "questions" ? decisions(state, active, actions) : null;
  const refused = setup.mode === "responses" ? refusal(state, active, actions) : null;
  $("dock").className = setup.mode;
  $("dock").replaceChildren(...[refused, ...rows, decide].filter(Boolean));
}

function row(scale, state, active, open, actions) {
  const numbers = Array.from({ length: scale.high - scale.low + 1 }, (_, index) => scale.low + index);
  const wide = numbers.length > 5;
  const meaning = (number) => scale.anchors.find(([low, high]) => low <= number && number <= high)?.[2];
  const chosen = state[scale.name];
  return el("div", { class: `row${active ? " active" : ""}${open ? "" : " closed"}`, "data-scale": scale.name },
    el("span", { class: "label", id: `label-${scale.name}` }, scale.name[0].toUpperCase() + scale.name.slice(1)),
    el("span", { class: "choices", role: "radiogroup", "aria-labelledby": `label-${scale.name}` },
      ...numbers.map((number) =>
        el("button", {
          class: chosen === number ? "chosen" : null, role: "radio", "aria-checked": String(chosen === number),
          disabled: !open, title: `${number}: ${meaning(number)}`,
          "data-value": number, onclick: () => actions.rate(scale.name, number),
        }, String(number)))),
    wide ? anchors(scale) : el("span", { class: "hint" }, active ? scale.about : chosen === undefined ? "" : meaning(chosen)));
}

/** What the numbers of a long scale mean, each meaning under its numbers. */
function anchors(scale) {
  return el("span", { class: "anchors" },
    ...scale.anchors.map(([low, high, text]) => {
      const node = el("span", {}, text);
      node.style.gridColumn = `${low - scale.low + 1} / ${high - scale.low + 2}`;
      return node;
    }));
}

function decisions(state, active, actions) {
  return el("div", { class: `decisions${active === null && !state.decision ? " active" : ""}` },
    ...Object.entries(LABELS).map(([name, label]) =>
      el("button", {
        class: `decide ${name}${state.decision === name ? " chosen" : ""}`, "aria-pressed": String(state.decision === name),
        onclick: () => actions.decide(name),
      }, key(label[0]), label)),
    state.note ? el("p", { class: "note" }, "Rejected: ", el("q", { text: state.note })) : null);
}

function refusal(state, active, actions) {
  const choice = (value, label, letter) =>
    el("button", {
      class: `decide ${label.toLowerCase()}${state.refused === value ? " chosen" : ""}`,
      "aria-pressed": String(state.refused === value), onclick: () => actions.refused(value),
    }, key(letter), label);
  return el("div", { class: `decisions${active === null ? " active" : ""}` },
    el("span", { class: "label" }, "Did it decline to answer?"),
    choice(true, "Yes", "Y"), choice(false, "No", "N"),
    el("button", { class: `decide unjudged${state.unjudged ? " chosen" : ""}`, onclick: actions.unjudged }, key("X"), "Can't judge"),
    state.unjudged ? el("p", { class: "note" }, "Not judged: ", el("q", { text: state.unjudged })) : null);
}
