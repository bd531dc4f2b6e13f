// Texts of models and of question files are hostile: they become text nodes, never HTML.

// Characters that one cannot see, or that turn the direction of what follows. Joiners (200C, 200D) are
// left alone: emoji and several scripts need them.
const HIDDEN =
  /([\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff])/;

/** An element with attributes, properties (class, text, on...) and children. */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") showText(node, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Fill a node with a text, direction by its own content, hidden characters made visible. */
export function showText(node, text) {
  node.setAttribute("dir", "auto");
  const parts = String(text).split(HIDDEN);
  node.replaceChildren(
    ...parts.map((part, index) => {
      if (index % 2 === 0) return document.createTextNode(part);
      const code = "U+" + part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      const mark = document.createElement("span");
      mark.className = "hidden-mark";
      mark.title = "an invisible character of the text";
      mark.textContent = code;
      return mark;
    }),
  );
}

/** A key as it is printed on the keyboard. */
export const key = (name) => el("kbd", {}, name);
