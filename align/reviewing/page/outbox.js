// Decisions on their way to the server. Each is kept in localStorage until the server has said that it is on
// its disk, and is sent again, with the same id, until then; so neither a closed tab nor a dead server loses one.

const WAITS = [500, 1000, 2000, 4000, 8000];

export class Outbox {
  /** `changed(outbox)` after every change; `accepted(event, reply)` and `refused(event, why)` for each event. */
  constructor(review, { changed, accepted, refused }) {
    this.review = review;
    this.prefix = `mohoalign-review:${review}:`;
    this.changed = changed;
    this.accepted = accepted;
    this.refused = refused;
    this.memory = new Map(); // where localStorage is not to be had
    this.durable = true;
    this.trouble = null;
    this.sending = null;
    this.failures = 0;
    this.counter = 0;
    addEventListener("online", () => this.flush());
    addEventListener("beforeunload", (event) => {
      if (!this.durable && this.pending().length) event.preventDefault();
    });
  }

  /** Keep an event and begin to send it. */
  put(event) {
    // A clock that is set back must not send an undo before what it takes back.
    const latest = this.pending().at(-1)?.slice(this.prefix.length).split(":")[0].slice(0, 15) ?? 0;
    const order = String(Math.max(Date.now(), Number(latest))).padStart(15, "0") + String(this.counter++).padStart(6, "0");
    const name = `${this.prefix}${order}:${event.id}`;
    const value = JSON.stringify(event);
    try {
      localStorage.setItem(name, value);
    } catch {
      this.durable = false;
      this.memory.set(name, value);
    }
    this.changed(this);
    this.flush();
  }

  /** Names of what is not yet saved, the oldest first. */
  pending() {
    const names = [...this.memory.keys()];
    try {
      for (let index = 0; index < localStorage.length; index++) {
        const name = localStorage.key(index);
        if (name.startsWith(this.prefix)) names.push(name);
      }
    } catch {
      this.durable = false;
    }
    return names.sort();
  }

  read(name) {
    // Another tab may have sent it in the meantime.
    const value = this.memory.get(name) ?? localStorage.getItem(name);
    return value === null ? null : JSON.parse(value);
  }

  remove(name) {
    if (!this.memory.delete(name)) localStorage.removeItem(name);
  }

  /** Whether a decision about an item still waits. */
  holds(round, item) {
    return this.pending().some((name) => {
      const event = this.read(name);
      return event && event.round === round && (event.item === item || event.about === item);
    });
  }

  /** Send what waits, in order. Resolves when nothing waits, or at the first trouble. */
  flush() {
    clearTimeout(this.timer);
    this.sending ??= this.run().finally(() => {
      this.sending = null;
      this.changed(this);
      if (!this.trouble && this.pending().length) this.flush(); // it came while the last run was ending
    });
    return this.sending;
  }

  /** Send until nothing waits, or until there is trouble. */
  async empty() {
    do await this.flush();
    while (this.pending().length && !this.trouble);
  }

  async run() {
    for (let names = this.pending(); names.length; names = this.pending()) {
      const event = this.read(names[0]);
      if (event === null) continue;
      const { about, ...sent } = event; // `about` is for this page only
      let reply, body;
      try {
        reply = await fetch("/api/events", {
          method: "POST",
          headers: { "content-type": "application/json", "x-review": this.review },
          body: JSON.stringify(sent),
          signal: AbortSignal.timeout(20000),
        });
        body = await reply.json().catch(() => ({}));
      } catch {
        return this.later("the server can't be reached");
      }
      if (reply.ok) {
        this.remove(names[0]);
        this.failures = 0;
        this.trouble = null;
        this.accepted(event, body);
        this.changed(this);
      } else if ([409, 413, 422].includes(reply.status)) {
        // It will never be taken, and sending it for ever would hold up the others: put aside, not thrown away.
        const why = body.error ?? `status ${reply.status}`;
        try {
          localStorage.setItem(`mohoalign-refused:${this.review}:${event.id}`, JSON.stringify({ why, event }));
        } catch {
          this.durable = false;
        }
        this.remove(names[0]);
        this.trouble = null;
        this.refused(event, why);
      } else {
        return this.later(body.error ?? (reply.status === 401 ? "the token is no longer good" : `status ${reply.status}`));
      }
    }
  }

  later(trouble) {
    this.trouble = trouble;
    const wait = WAITS[Math.min(this.failures++, WAITS.length - 1)];
    this.timer = setTimeout(() => this.flush(), wait);
  }
}

/** 32 hex digits. `crypto.randomUUID` is missing on plain http off this machine; this is not. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
