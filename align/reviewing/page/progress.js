// How far one is: the bar, the pace, and the categories to choose from.
import { el } from "./text.js";

const $ = (id) => document.getElementById(id);

/** Draw it; `paces` are seconds that the last items took, `choose` is told a category. */
export function drawProgress(setup, session, { filter, paces, choose }) {
  const entries = session.visible(filter);
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

/** Say whether all that was decided is on the server's disk. */
export function drawSaved(outbox) {
  const waiting = outbox.pending().length;
  const node = $("saved");
  node.classList.toggle("waiting", waiting > 0);
  node.classList.toggle("trouble", waiting > 0 && outbox.trouble !== null);
  node.textContent = !waiting ? "Saved" : outbox.trouble ? `${waiting} not saved: ${outbox.trouble}` : "Saving";
  node.title = outbox.durable ? "What is not saved is kept in this browser, and sent again until it is." : "This browser keeps nothing: leave this page open until all is saved.";
}
