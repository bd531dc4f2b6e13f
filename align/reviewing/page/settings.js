// What the browser remembers between visits: the name, and light or dark.
import { toast } from "./cards.js";

// A browser that keeps nothing asks again; only the outbox says so, where it matters.
export function remember(name, value) {
  try {
    localStorage.setItem(`mohoalign-${name}`, value);
  } catch {
    toast("This browser keeps nothing between visits");
  }
}

export function recall(name) {
  try {
    return localStorage.getItem(`mohoalign-${name}`);
  } catch {
    return null;
  }
}

export function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

export function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  applyTheme(dark ? "light" : "dark");
  remember("theme", dark ? "light" : "dark");
}
