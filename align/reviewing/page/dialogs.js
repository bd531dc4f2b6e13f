// What opens over the page: a reason, a fix, all keys, progress and agreement.
import { el, key } from "./text.js";
import { press } from "./turns.js";

const dialog = document.getElementById("dialog");

export const dialogIsOpen = () => dialog.open;

function open(kind, ...children) {
  dialog.className = kind;
  dialog.replaceChildren(...children.filter(Boolean));
  if (!dialog.open) dialog.showModal();
}

export const close = () => dialog.open && dialog.close();

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) close(); // the backdrop
});

/** A key that was pressed before the dialog was there, and is meant for it. Returns whether it could be taken. */
export function typeIntoDialog(given) {
  const focused = dialog.contains(document.activeElement) ? document.activeElement : dialog;
  const event = new KeyboardEvent("keydown", { key: given.key, ctrlKey: given.ctrl, shiftKey: given.shift, bubbles: true, cancelable: true });
  if (!focused.dispatchEvent(event) || !dialog.open) return true; // one of the handlers below took it
  if (given.name === "escape") close();
  else if (given.name === "tab" || !focused.matches("textarea, select")) press(given, dialog);
  else return focused.matches("textarea") && edit(focused, given);
  return true;
}

/** `execCommand` does what the browser does with a key that is really pressed, and can be undone with Ctrl Z. */
function edit(box, { key, name, ctrl }) {
  if (ctrl && name === "a") box.select();
  else if (ctrl) return name === "z" && document.execCommand("undo");
  else if (key.length === 1) return document.execCommand("insertText", false, key);
  else if (name === "enter") return document.execCommand("insertText", false, "\n");
  else if (name === "backspace") document.execCommand("delete");
  else if (name === "delete") document.execCommand("forwardDelete");
  else return false;
  return true;
}

/** Ask for a reason: a digit takes a ready one, anything else is written. */
export function askReason(title, reasons, submit) {
  const own = el("textarea", { rows: 2, placeholder: "Another reason, in your words", "aria-label": "another reason", maxlength: 2000 });
  const take = (text) => {
    if (!text.trim()) return;
    close();
    submit(text.trim());
  };
  own.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      take(own.value);
    }
  });
  const list = el("ol", { class: "reasons" },
    ...reasons.map((reason, index) => el("li", {}, el("button", { onclick: () => take(reason) }, key(String(index + 1)), reason))));
  open("ask", el("h2", { tabindex: "-1", autofocus: true }, title), list, own,
    el("p", { class: "actions" }, el("span", {}, key("O"), " own words  ", key("Enter"), " take them  ", key("Esc"), " back"),
      el("button", { onclick: close }, "Back"), el("button", { class: "main", onclick: () => take(own.value) }, "Take my words")));
  dialog.onkeydown = (event) => {
    if (event.target === own || event.ctrlKey || event.metaKey || event.altKey) return;
    const reason = reasons[Number(event.key) - 1];
    if (reason) {
      event.preventDefault();
      take(reason);
    } else if (event.key.toLowerCase() === "o") {
      event.preventDefault();
      own.focus();
    }
  };
}

/** Mend a question: its words, category, and reason or answers. `submit` gets what was changed. */
export function askFix(setup, item, current, submit) {
  const answerable = item.category === "Answerable";
  const question = area("Question", current.question, 3);
  const grounds = answerable
    ? area("Counts as right, one a line", current.answers.join("\n"), 3)
    : area("Why it can't be answered", current.reason ?? "", 3);
  const names = Object.keys(setup.categories).filter((name) => (name === "Answerable") === answerable);
  const category = el("select", { "aria-label": "Category" },
    ...names.map((name) => el("option", { value: name, selected: name === current.category }, setup.categories[name].label)));
  const about = el("p", { class: "about" });
  const tell = () => (about.textContent = setup.categories[category.value].definition);
  category.addEventListener("change", tell);
  tell();
  const complaint = el("p", { class: "complaint", role: "alert" });
  const save = () => {
    const fix = {};
    if (question.box.value.trim() !== item.question) fix.question = question.box.value.trim();
    if (category.value !== item.category) fix.category = category.value;
    if (answerable) {
      const lines = grounds.box.value.split("\n").map((line) => line.trim()).filter(Boolean);
      if (lines.join("\n") !== item.answers.join("\n")) fix.answers = lines;
    } else if (grounds.box.value.trim() !== (item.reason ?? "")) fix.reason = grounds.box.value.trim() || null;
    if (fix.question === "") complaint.textContent = "The question is empty. Reject it if it is to go.";
    else if (!Object.keys(fix).length) complaint.textContent = "Nothing is changed yet. Accept it if it is right as it is.";
    else {
      close();
      submit(fix);
    }
  };
  open("fix", el("h2", {}, "Fix this question"), question.label,
    el("label", {}, el("span", {}, "Category"), category), about, grounds.label, complaint,
    el("p", { class: "actions" }, el("span", {}, key("Ctrl"), " ", key("Enter"), " save  ", key("Esc"), " back"),
      el("button", { onclick: close }, "Back"), el("button", { class: "main", onclick: save }, "Save the fix")));
  dialog.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      save();
    }
  };
  question.box.focus();
}

function area(title, value, rows) {
  const box = el("textarea", { rows, dir: "auto", maxlength: 10000 });
  box.value = value;
  return { box, label: el("label", {}, el("span", {}, title), box) };
}

function section(title, keys) {
  return el("section", {}, el("h3", {}, title),
    el("dl", {}, ...keys.flatMap(([names, what]) => [el("dt", {}, ...names.flatMap((name) => [key(name), " "])), el("dd", {}, what)])));
}

/** All keys, and what the numbers mean. */
export function showKeys(scales, groups) {
  const range = (low, high) => (low === high ? `${low}` : `${low}–${high}`);
  open("keys", el("h2", { tabindex: "-1", autofocus: true }, "Keys and numbers"),
    el("div", { class: "columns" },
      section(...groups[0]),
      el("section", {}, el("h3", {}, "What the numbers mean"),
        ...scales.map((scale) => el("p", { class: "meaning" }, el("b", {}, scale.name), ` ${scale.about} `,
          el("span", {}, scale.anchors.map(([low, high, text]) => `${range(low, high)} ${text}`).join(" · "))))),
      section(...groups[1])),
    el("p", { class: "actions" }, el("span", {}, key("Esc"), " close"), el("button", { class: "main", onclick: close }, "Close")));
  dialog.onkeydown = (event) => {
    if (event.key === "?") close(); // a handler that returns false would swallow Escape
  };
}

const figure = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} %`);

/** Progress of everybody and agreement, as the server has it now. `coming` is the promise of its report. */
export async function showAgreement(coming, write) {
  const body = el("div", {}, el("p", { class: "soft" }, "One moment"));
  open("agreement", el("h2", { tabindex: "-1", autofocus: true }, "Progress and agreement"), body,
    el("p", { class: "actions" }, el("span", {}, key("W"), " write exports  ", key("Esc"), " close"), el("button", { onclick: write }, "Write exports"),
      el("button", { class: "main", onclick: close }, "Close")));
  dialog.onkeydown = (event) => {
    if (event.key.toLowerCase() === "w") write();
    if (event.key.toLowerCase() === "i") close();
  };
  try {
    body.replaceChildren(...figures(await coming));
  } catch (error) {
    body.replaceChildren(el("p", { class: "complaint", role: "alert", text: error.message }));
  }
}

function figures(report) {
  const progress = Object.entries(report.progress);
  const rows = Object.entries(report.annotators).map(([name, a]) =>
    line(name, a.n, percent(a.percent), figure(a.kappa), a.metric === "ordinal" ? figure(a.weighted) : "", figure(a.alpha)));
  const self = Object.entries(report.self).flatMap(([who, measures]) =>
    Object.entries(measures).map(([name, a]) => line(`${who}: ${name}`, a.n, percent(a.percent), figure(a.kappa), figure(a.weighted), "")));
  const judges = report.judges.map((a) =>
    line(`${a.judge} and ${a.annotator}: ${a.measure}`, a.n, percent(a.percent), figure(a.kappa), figure(a.weighted), ""));
  const many = progress.length > 2;
  return [
    !progress.length ? null : el("ul", { class: "people" }, ...progress.map(([who, p]) =>
      el("li", {}, el("span", { text: who }), el("progress", { max: Math.max(1, p.items), value: p.done }), el("span", {}, `${p.done} of ${p.items}`)))),
    !progress.length ? el("p", { class: "soft" }, "Nobody has decided anything yet.")
      : table(many ? "Between annotators: mean over each two of them" : "Between annotators", rows),
    self.length ? table("With oneself, in the second pass", self) : null,
    judges.length ? table("Judges and people", judges) : null,
    el("p", { class: "soft" }, "n: items that at least two rated. κ: Cohen's kappa; weighted: with quadratic weights; α: Krippendorff's alpha over all. " +
      "– is not defined: nobody shared an item, or all gave the same label."),
  ].filter(Boolean);
}

function line(name, ...cells) {
  return el("tr", {}, el("th", { scope: "row", text: name }), ...cells.map((cell) => el("td", {}, String(cell))));
}

function table(title, rows) {
  return el("div", { class: "scroll" }, el("table", {}, el("caption", {}, title),
    el("thead", {}, el("tr", {}, el("th"), ...["n", "same", "κ", "weighted", "α"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows)));
}
