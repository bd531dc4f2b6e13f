// Keys and clicks, one after the other. Each does what it would do on a page that is infinitely fast: what a key
// means is asked when its turn comes, not when it arrives, so none is lost between two items, and none
// goes to an item that is only just leaving the screen.

const CTRL = ["z", "a", "enter"]; // the page's own; other combinations are the browser's
const NAMED = ["enter", "escape", "backspace", "delete", "tab", "arrowup", "arrowdown", "arrowleft", "arrowright", "home", "end"];

export class Turns {
  /**
   * `take(key)` does what a key means now. `mustWait(key)`: it is for something that is not here yet; then it and
   * all behind it stay until `run()` is called again. `failed(error)` for what a turn throws; `changed()` when the
   * number of those that wait did.
   */
  constructor({ take, mustWait, failed, changed }) {
    Object.assign(this, { take, mustWait, failed, changed });
    this.waiting = [];
    this.busy = false;
  }

  /** Nothing is being done and nothing waits: a key may go where the browser would send it. */
  get idle() {
    return !this.busy && !this.waiting.length;
  }

  /** Something waits for what is not here yet. */
  get blocked() {
    return !this.busy && this.waiting.length > 0;
  }

  key(key) {
    this.waiting.push({ key });
    return this.run();
  }

  act(action) {
    this.waiting.push({ action });
    return this.run();
  }

  /** Before all that waits: the rest of a turn that is going on, such as what a dialog was answered. */
  next(action) {
    this.waiting.unshift({ action });
    return this.run();
  }

  clear() {
    this.waiting = [];
    this.changed();
  }

  /** Take keys from the browser: those that are `wanted` now, and while anything goes on all of them. */
  listen(wanted, active) {
    const pressed = (event) => {
      const key = event.isTrusted && active() ? keyOf(event) : null;
      if (!key) return;
      if (this.blocked && key.name === "escape") return this.clear();
      if (this.idle && !wanted(key)) return;
      event.preventDefault();
      event.stopPropagation();
      this.key(key);
    };
    addEventListener("keydown", pressed, true); // before any field sees it
    addEventListener("beforeunload", (event) => {
      if (this.waiting.length) event.preventDefault();
    });
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length && !(this.waiting[0].key && this.mustWait(this.waiting[0].key))) {
      const { key, action } = this.waiting.shift();
      try {
        await (key ? this.take(key) : action());
      } catch (error) {
        this.failed(error);
      }
    }
    this.busy = false;
    this.changed();
  }
}

/** What the browser would do with a key, for one that waited: it moves the focus, and presses what has it. */
export function press({ name, shift }, root) {
  const focused = document.activeElement;
  if (name === "tab") {
    const all = [...root.querySelectorAll("button, textarea, input, select")].filter((one) => !one.disabled && one.checkVisibility());
    const at = all.indexOf(focused) + (shift ? -1 : 1);
    all.at(at % all.length)?.focus();
  } else if (["enter", " "].includes(name)) focused?.closest("button")?.click();
}

/** A key as it is kept; null for one that is the browser's alone. */
export function keyOf(event) {
  const text = event.key.length === 1;
  const third = event.getModifierState("AltGraph"); // a letter on the key's third level, not a shortcut
  const name = event.key.toLowerCase();
  if (!text && !NAMED.includes(name)) return null;
  if (event.isComposing || (!third && (event.altKey || event.metaKey))) return null;
  const ctrl = event.ctrlKey && !third;
  if (ctrl && !CTRL.includes(name)) return null;
  return { key: event.key, name, ctrl, shift: event.shiftKey, repeat: event.repeat };
}
