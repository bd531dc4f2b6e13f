(() => {
  const $ = (id) => document.getElementById(id);
  const ROW = 56; // px, the height of a row of the list in the style sheet
  const SHOWN = 20000; // characters of a text until one asks for all of it
  const panel = $("browser");
  if (!panel) return;

  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined && text !== null) node.textContent = text;
    return node;
  };
  const count = (n) => n.toLocaleString("en-US");

  let data = null;
  let shown = []; // numbers of the samples that pass the filters
  let at = -1; // the chosen one's place in `shown`
  let haystack = null;

  // --- Reading the page's own data ----------------------------------------------------------------------

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  let loading = null;
  const load = () => (loading ??= (async () => {
    if (typeof DecompressionStream === "undefined") {
      $("browser-note").textContent = "This browser is too old to unpack the samples: samples.jsonl of each run holds them.";
      return false;
    }
    data = await unpack($("samples-data").textContent);
    $("samples-data").remove();
    $("browser-note").hidden = true;
    panel.hidden = false;
    fillFilters();
    data.models.forEach((name, m) => {
      const who = make("span", `m${m % 8}`);
      who.append(make("span", "dot"), name);
      $("legend").append(who);
    });
    apply();
    document.documentElement.dataset.samples = "ready";
    return true;
  })().catch((error) => {
    $("browser-note").textContent = `The samples could not be unpacked: ${error.message}`;
    throw error;
  }));

  let pictures = null;
  function source(image) {
    if (image.at) {
      pictures ??= $("samples-pictures").textContent;
      const [kind, start, length] = image.at;
      return `data:image/${kind};base64,${pictures.slice(start, start + length)}`;
    }
    return image.path && location.protocol === "file:" ? image.path : null;
  }
  // --- Filters ------------------------------------------------------------------------------------------

  const filters = {
    task: $("by-task"), group: $("by-group"), model: $("by-model"), verdict: $("by-verdict"), change: $("by-change"),
  };

  function options(select, first, entries) {
    select.replaceChildren(new Option(first, ""));
    for (const [value, label] of entries) select.append(new Option(label, value));
    select.closest("label").hidden = entries.length < 2;
  }

  function fillFilters() {
    options(filters.task, "All tasks", data.tasks.map((name, i) => [i, name]));
    fillGroups();
    options(filters.model, "Any model", data.models.map((name, i) => [i, name]));
    const labels = [...new Set(data.outcomes.map((outcome) => `${outcome.sign} ${outcome.label}`))].sort();
    options(filters.verdict, "All verdicts", [
      ["right", "Right"], ["wrong", "Not right"], ["unknown", "Can’t be told"], ...labels.map((label) => [`=${label}`, label]),
    ]);
    options(filters.change, "All, changed or not", [
      ["changed", "Changed"], ["better", "Became right"], ["worse", "No longer right"],
    ]);
    filters.change.closest("label").hidden = data.models.length < 2;
  }

  function fillGroups() {
    const task = filters.task.value;
    const kept = filters.group.value;
    const { task: tasks, group } = data.columns;
    const seen = new Set();
    for (let i = 0; i < group.length; i++) if (task === "" || tasks[i] === Number(task)) seen.add(group[i]);
    options(filters.group, "All categories", [...seen].map((g) => [g, data.groups[g]]));
    if (seen.has(Number(kept)) && kept !== "") filters.group.value = kept;
  }

  const outcomeOf = (answers, i) => (answers.outcome[i] < 0 ? null : data.outcomes[answers.outcome[i]]);
  const rightOf = (answers, i) => (answers.right ? answers.right[i] : null);

  function verdictFits(answers, i, wanted) {
    const outcome = outcomeOf(answers, i);
    if (!outcome) return false;
    if (wanted === "right") return rightOf(answers, i) === 1;
    if (wanted === "wrong") return rightOf(answers, i) === 0;
    if (wanted === "unknown") return rightOf(answers, i) === null;
    return wanted === `=${outcome.sign} ${outcome.label}`;
  }

  function changeFits(base, answers, i, wanted) {
    if (base.outcome[i] < 0 || answers.outcome[i] < 0) return false;
    if (wanted === "changed") return base.outcome[i] !== answers.outcome[i];
    const [before, after] = [rightOf(base, i), rightOf(answers, i)];
    return wanted === "better" ? before === 0 && after === 1 : before === 1 && after === 0;
  }

  function passes(i, words) {
    const { task, group } = data.columns;
    if (filters.task.value !== "" && task[i] !== Number(filters.task.value)) return false;
    if (filters.group.value !== "" && group[i] !== Number(filters.group.value)) return false;
    const model = filters.model.value;
    const asked = model === "" ? data.answers : [data.answers[Number(model)]];
    const verdict = filters.verdict.value;
    if (verdict && !asked.some((answers) => verdictFits(answers, i, verdict))) return false;
    const change = filters.change.value;
    const base = data.answers[data.base];
    if (change && !asked.some((answers) => answers !== base && changeFits(base, answers, i, change))) return false;
    return words.every((word) => haystack[i].includes(word));
  }

  function apply() {
    // Words in any order, and phrases in quotation marks.
    const words = [...$("find").value.toLowerCase().matchAll(/"([^"]+)"|([^\s"]+)/g)].map((found) => found[1] ?? found[2]);
    if (words.length && !haystack) {
      haystack = data.columns.question.map((question, i) =>
        [question, data.columns.truth[i], data.columns.id[i], ...data.answers.map((a) => (a.text ? a.text[i] : ""))].join("\n").toLowerCase());
    }
    const kept = at >= 0 ? shown[at] : -1;
    shown = [];
    const n = data.columns.id.length;
    for (let i = 0; i < n; i++) if (passes(i, words)) shown.push(i);
    $("count").textContent = shown.length === n ? `${count(n)} samples` : `${count(shown.length)} of ${count(n)} samples`;
    $("rows").style.height = `${shown.length * ROW}px`;
    $("clear").disabled = shown.length === n && !words.length;
    at = -1;
    const place = shown.indexOf(kept);
    choose(place >= 0 ? place : 0);
  }

  // --- The list: only rows in sight are in the document ---------------------------------------------------

  const list = $("list");
  const drawn = new Map();
  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
    for (const [place, node] of drawn) if (place < first || place >= last) { node.remove(); drawn.delete(place); }
    for (let place = first; place < last; place++) {
      if (!drawn.has(place)) { const node = row(place); drawn.set(place, node); $("rows").append(node); }
    }
  }

  function row(place) {
    const i = shown[place];
    const node = make("div", "row");
    node.id = `row-${place}`;
    node.setAttribute("role", "option");
    node.setAttribute("aria-setsize", shown.length);
    node.setAttribute("aria-posinset", place + 1);
    node.setAttribute("aria-selected", place === at);
    node.style.top = `${place * ROW}px`;
    const signs = make("span", "signs");
    data.answers.forEach((answers, m) => {
      const outcome = outcomeOf(answers, i);
      const sign = make("b", outcome ? outcome.tone : "none", outcome ? outcome.sign : " ");
      sign.title = `${data.models[m]}: ${outcome ? outcome.label : "was not asked"}`;
      signs.append(sign);
    });
    const text = make("span", "what");
    text.append(make("span", "line", data.columns.question[i]), make("small", "", data.groups[data.columns.group[i]]));
    node.append(signs, text);
    node.addEventListener("click", () => { choose(place); if (narrow.matches) $("sample").scrollIntoView({ block: "start", behavior: "instant" }); });
    return node;
  }

  const narrow = matchMedia("(max-width: 56rem)");
  function choose(place) {
    for (const node of drawn.values()) node.remove();
    drawn.clear();
    at = shown.length ? Math.max(0, Math.min(place, shown.length - 1)) : -1;
    if (at >= 0) {
      const top = at * ROW;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
      list.setAttribute("aria-activedescendant", `row-${at}`);
    } else list.removeAttribute("aria-activedescendant");
    draw();
    show();
  }
  list.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  addEventListener("resize", () => { if (data) draw(); });

  // --- One sample -----------------------------------------------------------------------------------------

  function long(className, text) {
    const node = make("p", className);
    node.dir = "auto";
    if (text.length <= SHOWN) { node.textContent = text; return [node]; }
    node.textContent = text.slice(0, SHOWN);
    const button = make("button", "more", `Show all ${count(text.length)} characters`);
    button.type = "button";
    button.addEventListener("click", () => { node.textContent = text; button.remove(); });
    return [node, button];
  }

  function picture(i) {
    const image = data.images[data.columns.image[i]];
    if (!image) return make("div", "noimage", "no image was shown");
    const url = image.missing ? null : source(image);
    if (url === null) {
      return make("div", "noimage", image.missing ? `image not found: ${image.name}`
        : `Not in this file: ${image.name}. Open the page from disk, beside its data, or make it with more images.`);
    }
    const node = make("img");
    node.alt = "The image of this question";
    node.addEventListener("error", () => node.replaceWith(make("div", "noimage", `image not found: ${image.name}`)));
    node.src = url;
    return node;
  }

  function answer(answers, m, i) {
    const node = make("li", `m${m % 8}`);
    const who = make("span", "who");
    who.append(make("span", "dot"), data.models[m]);
    const outcome = outcomeOf(answers, i);
    const head = make("div", "answer-head");
    head.append(who);
    if (outcome) head.append(make("span", `chip ${outcome.tone}`, `${outcome.sign} ${outcome.label}`));
    for (const [name, label] of [["rationality", "Reason"], ["helpfulness", "Helpful"]]) {
      const mark = answers[name] ? answers[name][i] : null;
      if (mark !== null) head.append(make("span", "grade", `${label} ${mark}/10`));
    }
    node.append(head);
    const text = answers.text ? answers.text[i] : null;
    if (!outcome) node.append(make("p", "text empty", "was not asked"));
    else if (text && text.trim()) node.append(...long("text", text));
    else node.append(make("p", "text empty", text === null ? "no response" : "an empty response"));
    const error = answers.error ? answers.error[i] : null;
    if (error) node.append(...long("error", error));
    const said = answers.said ? answers.said[i] : null;
    if (said) {
      const details = make("details");
      details.append(make("summary", "", "What the judge said"), ...long("said", said));
      node.append(details);
    }
    return node;
  }

  function show() {
    const box = $("sample");
    box.replaceChildren();
    box.scrollTop = 0;
    if (at < 0) { box.append(make("p", "soft", "No sample passes these filters.")); return; }
    const i = shown[at];
    const c = data.columns;
    const bar = make("div", "steps");
    const step = (label, title, go, off) => {
      const button = make("button", "", label);
      button.type = "button"; button.title = title; button.disabled = off;
      button.setAttribute("aria-label", title);
      button.addEventListener("click", go);
      bar.append(button);
    };
    step("←", "Previous sample (k)", () => choose(at - 1), at === 0);
    step("→", "Next sample (j)", () => choose(at + 1), at === shown.length - 1);
    if (c.twin[i] >= 0) step("Twin", "The question of opposite answerability that belongs to it (t)", twin, false);
    bar.append(make("span", "soft", `${count(at + 1)} of ${count(shown.length)}`), make("code", "", c.id[i]));
    const ask = make("div", "ask");
    const words = make("div");
    const kind = [data.tasks.length > 1 ? data.tasks[c.task[i]] : null, data.groups[c.group[i]], c.part[i]];
    words.append(make("p", "kind", kind.filter(Boolean).join(", ")), ...long("q", c.question[i]));
    const truth = make("p", "truth");
    truth.append(make("strong", c.declinable[i] ? "watch" : "good", c.declinable[i] ? "Should decline." : "Answer:"), ` ${c.truth[i] || "not given"}`);
    truth.dir = "auto";
    words.append(truth);
    ask.append(picture(i), words);
    const says = make("ul", "side");
    data.answers.forEach((answers, m) => says.append(answer(answers, m, i)));
    box.append(bar, ask, says);
  }

  function twin() {
    const other = at < 0 ? -1 : data.columns.twin[shown[at]];
    if (other < 0) return;
    if (!shown.includes(other)) clear();
    choose(shown.indexOf(other));
  }

  function clear() {
    $("find").value = "";
    for (const select of Object.values(filters)) select.value = "";
    fillGroups();
    apply();
  }
  // --- Input ----------------------------------------------------------------------------------------------

  let typing = 0;
  $("find").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(apply, 120); });
  for (const select of Object.values(filters)) select.addEventListener("change", () => {
    if (select === filters.task) fillGroups();
    apply();
  });
  $("clear").addEventListener("click", clear);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("keys-close").addEventListener("click", () => $("keys").close());

  const near = (node) => { if (node) { panel.scrollIntoView({ block: "start", behavior: "instant" }); node.focus({ preventScroll: true }); } };
  const keys = {
    j: () => { near(list); choose(at + 1); },
    k: () => { near(list); choose(at - 1); },
    t: () => { near(list); twin(); },
    c: () => { near(list); clear(); },
    "/": () => near($("find")),
    f: () => near([...Object.values(filters)].find((select) => !select.closest("label").hidden)),
    "?": () => $("keys").showModal(),
  };
  const inList = {
    ArrowDown: () => choose(at + 1), ArrowUp: () => choose(at - 1),
    PageDown: () => choose(at + Math.floor(list.clientHeight / ROW)), PageUp: () => choose(at - Math.floor(list.clientHeight / ROW)),
    Home: () => choose(0), End: () => choose(shown.length - 1),
  };
  addEventListener("keydown", async (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || $("keys").open) return;
    const where = event.target;
    if (where instanceof HTMLInputElement || where instanceof HTMLSelectElement) {
      if (event.key === "Escape" || (event.key === "Enter" && where === $("find"))) { event.preventDefault(); list.focus(); }
      return;
    }
    const act = keys[event.key] || (where === list ? inList[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    if (await load()) act();
  });

  // Unpacked when it is about to be seen: the page itself opens without waiting for it.
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); load(); }
  }, { rootMargin: "800px" }).observe($("samples"));
})();
