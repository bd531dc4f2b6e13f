// What is shown of an item: image, question, category, reason, twin, the models' answers.
import { el, showText } from "./text.js";

const $ = (id) => document.getElementById(id);

/** Show an item; `fix` is the annotator's own wording, if there is one. */
export function showItem(setup, item, fix) {
  showImage(item.images[0]);
  const caption = $("caption");
  if (item.caption) caption.replaceChildren("Caption: ", el("span", { text: item.caption }));
  else caption.replaceChildren();
  const responses = setup.mode === "responses";
  const current = { ...item, ...(fix ?? {}) };
  const category = setup.categories[current.category];
  const parts = [
    el("p", { class: "category" }, el("b", { class: `pill c-${current.category}` }, category.label), el("span", {}, category.definition)),
    el("h1", { id: "question", text: current.question }),
    fix ? el("p", { class: "mended" }, "As you mended it. Before: ", el("q", { text: item.question })) : null,
    known(current),
    twin(setup, item),
    said(item),
    responses ? judged(item) : answers(item),
  ];
  $("content").replaceChildren(...parts.filter(Boolean));
  $("content").scrollTop = 0;
}

/** Leave nothing of an item behind, not even where it can't be seen. */
export function blank() {
  $("item").hidden = true;
  $("content").replaceChildren();
  $("dock").replaceChildren();
  $("image").removeAttribute("src");
  delete $("content").dataset.shown;
  delete $("content").dataset.key;
}

function showImage(source) {
  const image = $("image");
  // A browser goes on showing the picture before until the next one has arrived: with another question, a wrong one.
  if (image.getAttribute("src") !== source) image.removeAttribute("src");
  const error = $("image-error");
  error.hidden = true;
  $("zoom").hidden = false;
  image.onerror = async () => {
    $("zoom").hidden = true;
    error.hidden = false;
    const reply = await fetch(source).catch(() => null);
    const body = reply && (await reply.json().catch(() => null));
    if (image.getAttribute("src") !== source) return;
    showText(error, body?.error ?? "The image did not arrive: the server can't be reached.");
  };
  image.src = source;
}

function known(item) {
  const answerable = item.category === "Answerable";
  const text = answerable ? item.answers.join(" · ") : item.reason;
  return fact(answerable ? "Counts as right" : "Why it can't be answered", text || "not given", !text);
}

function twin(setup, item) {
  if (!item.twin) return null;
  const other = item.twin;
  const label = setup.categories[other.category].label;
  const grounds = other.category === "Answerable" ? other.answers.join(" · ") : other.reason;
  return fact(`Twin, ${label.toLowerCase()}`, null, false,
    other.image > 0 ? el("img", { class: "twin-image", src: item.images[other.image], alt: "The twin's image" }) : null,
    el("span", { class: "twin-question", text: other.question }),
    grounds ? el("span", { class: "grounds", text: grounds }) : null);
}

function fact(title, text, missing, ...children) {
  const body = el("dd", { class: missing ? "missing" : null });
  if (text !== null) showText(body, text);
  body.append(...children.filter(Boolean));
  return el("dl", { class: "fact" }, el("dt", {}, title), body);
}

/** What the annotators said, for the one who settles it. */
function said(item) {
  if (!item.opinions.length) return null;
  return el("section", { class: "answers" }, el("h2", {}, "What the annotators said"),
    ...item.opinions.map((one) =>
      el("div", { class: "answer" },
        el("h3", { text: `${one.annotator}: ${one.decision}` }),
        one.note ? el("p", { text: one.note }) : null,
        ...Object.entries(one.fix ?? {}).map(([name, value]) => el("p", { text: `${name}: ${value}` })))));
}

function judged(item) {
  return el("section", { class: "answers" }, el("h2", {}, "The response to judge"), long("response judged", item.response));
}

function answers(item) {
  if (!item.responses.length) return null;
  return el("section", { class: "answers" },
    el("h2", {}, item.responses.length > 1 ? `What ${item.responses.length} models answered` : "What a model answered"),
    ...item.responses.map((response) =>
      el("div", { class: "answer" },
        el("h3", { text: response.model + (response.sample ? `, sample ${response.sample + 1}` : "") }),
        response.text === null
          ? el("p", { class: "failed", text: `The call failed: ${response.error}` })
          : long("response", response.text))));
}

/** A text that may be very long: a few lines of it, all of it on a click or with D. */
function long(kind, text) {
  if (!text.trim()) return el("p", { class: `${kind} missing` }, "an empty text");
  return el("div", { class: kind, text, tabindex: "-1", onclick: (event) => event.currentTarget.classList.toggle("open") });
}

/** Open all long texts, or close them if all are open. */
export function toggleLong() {
  const texts = [...document.querySelectorAll("#content .response")];
  const open = texts.some((text) => !text.classList.contains("open"));
  for (const text of texts) text.classList.toggle("open", open);
}
