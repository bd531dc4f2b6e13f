// What this annotator has to rate and has rated: queue, states, undo; and the traffic with the server.
import { newId, Outbox } from "./outbox.js";
import { complete, fold } from "./rules.js";

const AHEAD = 4; // items that are fetched before they are wanted

export async function get(path) {
  const reply = await fetch(path, { signal: AbortSignal.timeout(20000) });
  const body = await reply.json().catch(() => ({ error: `status ${reply.status}` }));
  if (!reply.ok) throw new Error(body.error ?? `status ${reply.status}`);
  return body;
}

export async function post(path, body) {
  const reply = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await reply.json().catch(() => ({ error: `status ${reply.status}` }));
  if (!reply.ok) throw new Error(answer.error ?? `status ${reply.status}`);
  return answer;
}

export class Session {
  /** `events`: `saved(outbox)`, `settled(item)` when the server has another state of it, `refused(why)`. */
  constructor(setup, annotator, events) {
    this.setup = setup;
    this.annotator = annotator;
    this.round = 1;
    this.events = events;
    this.queue = null; // until it is loaded
    this.byKey = new Map();
    this.states = new Map();
    this.outbox = new Outbox(setup.review, {
      changed: events.saved,
      accepted: (event, reply) => this.settle(event, reply.item, reply.state),
      refused: (event, why) => events.refused(why),
    });
  }

  /** Fetch the queue of a pass. What waits in the outbox is sent first, so that the queue knows of it. */
  async load(round) {
    await this.outbox.empty();
    // What the server does not know yet would seem undone.
    if (this.outbox.pending().length) throw new Error(`Some decisions are not saved yet: ${this.outbox.trouble}`);
    const queue = await get(`/api/queue?${this.query(round)}`);
    this.annotator = queue.annotator;
    this.round = round;
    this.queue = queue.items.map(([key, category, done]) => ({ key, category, done }));
    this.byKey = new Map(this.queue.map((entry) => [entry.key, entry]));
    this.trail = queue.trail.map(([id, item, before]) => ({ id, item, before }));
    this.second = queue.second;
    this.items = new Map();
    this.states = new Map();
  }

  query(round = this.round) {
    return `annotator=${encodeURIComponent(this.annotator)}&round=${round}`;
  }

  /** The item, from the server or from what was fetched ahead. */
  async item(key) {
    const { items, states } = this; // an answer that comes after a change of pass belongs to the one before
    if (!items.has(key)) {
      const coming = get(`/api/item/${key}?${this.query()}`).then((item) => {
        if (!states.has(key)) states.set(key, item.state);
        for (const source of item.images) new Image().src = source;
        return item;
      });
      items.set(key, coming);
      coming.catch(() => items.delete(key)); // to be tried again
    }
    return items.get(key);
  }

  /** Fetch what comes next, with its image. */
  ahead(keys) {
    for (const key of keys.slice(0, AHEAD)) this.item(key).catch(() => {});
  }

  /** The entries of the queue in a category; null: all. */
  visible(category) {
    return this.queue.filter((entry) => category === null || entry.category === category);
  }

  /** Keys that are not rated, from behind one on and around. */
  unratedFrom(key, category) {
    const entries = this.visible(category);
    const at = entries.findIndex((entry) => entry.key === key);
    return [...entries.slice(at + 1), ...entries.slice(0, at + 1)].filter((entry) => !entry.done).map((entry) => entry.key);
  }

  state(key) {
    return this.states.get(key) ?? {};
  }

  /** Decide something about an item. Returns whether that made it complete. */
  async decide(key, fields) {
    const item = await this.item(key);
    const before = this.state(key);
    const event = this.event({ kind: "set", item: key, digest: item.digest, fields });
    this.trail.push({ id: event.id, item: key, before });
    const was = this.byKey.get(key).done;
    this.place(key, fold(this.setup.mode, before, fields));
    this.outbox.put(event);
    return !was && this.byKey.get(key).done;
  }

  /** Take the last decision back. Returns its item, or null when there is none. */
  undo() {
    const last = this.trail.pop();
    if (!last) return null;
    this.place(last.item, last.before);
    this.outbox.put(this.event({ kind: "undo", undoes: last.id, about: last.item }));
    return last.item;
  }

  /** Let the server write the exports. Returns in words what it wrote. */
  async write() {
    await this.outbox.empty();
    const waiting = this.outbox.pending().length;
    if (waiting) throw new Error(`Nothing was written: ${waiting} of your decisions are not saved yet`);
    const { folder, ...counts } = await post("/api/export", {});
    const words = Object.entries(Object.values(counts)[0]).map(([name, n]) => `${n} ${name}`).join(", ");
    return `Written to ${folder}: ${words || "nothing yet"}`;
  }

  /** Begin the second pass, or go on with it. Throws what the server says against it. */
  async drawSecondPass() {
    await this.outbox.empty();
    await post("/api/second-pass", { annotator: this.annotator });
  }

  event(rest) {
    return { id: newId(), annotator: this.annotator, round: this.round, made: new Date().toISOString(), ...rest };
  }

  settle({ annotator, round }, key, state) {
    // Another person's, whose decisions waited in this browser; or one from the other pass.
    if (annotator !== this.annotator || round !== this.round) return;
    // A later decision that still waits would be overwritten by the answer to an earlier one.
    if (this.outbox.holds(round, key)) return;
    const same = JSON.stringify(this.state(key)) === JSON.stringify(state);
    this.place(key, state);
    if (!same && this.queue) this.events.settled(key); // a redraw would move the marked row
  }

  place(key, state) {
    this.states.set(key, state);
    const entry = this.byKey.get(key);
    if (entry) entry.done = complete(this.setup.mode, this.setup.scales, state);
  }
}
