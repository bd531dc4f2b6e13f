// What the keys do, in words: the legend under the page and the list that ? opens.
import { el, key } from "./text.js";

const COMMON = [
  [["U", "Ctrl Z"], "take the last decision back, again and again"],
  [["J"], "to the next one that is not rated"],
  [["←", "→"], "back and forth in your order"],
  [["C"], "next category, then all again"],
  [["Z"], "enlarge the image"],
  [["D"], "long texts in full"],
  [["I"], "progress and agreement"],
  [["W"], "write the exports"],
  [["P"], "second pass, or back to the first"],
  [["T"], "light or dark"],
  [["?"], "this list"],
];
const OWN = {
  questions: [
    [["1", "2", "3"], "rate the marked row, and on to the next row"],
    [["↑", "↓"], "mark another row"],
    [["A"], "accept"],
    [["F"], "fix its words, category or reason"],
    [["R"], "reject, with a reason"],
  ],
  responses: [
    [["Y", "N"], "it declined to answer, or it did not"],
    [["1", "…", "9", "0"], "rate the marked row from 1 to 10"],
    [["↑", "↓"], "mark another row"],
    [["X"], "it can't be judged, with a reason"],
  ],
};
const SHORT = {
  questions: [["1–3", "rate"], ["↑ ↓", "row"], ["A", "accept"], ["F", "fix"], ["R", "reject"]],
  responses: [["Y", "declined"], ["N", "answered"], ["1–0", "rate 1–10"], ["↑ ↓", "row"], ["X", "can't judge"]],
};
const SHORT_COMMON = [["U", "undo"], ["J", "next unrated"], ["← →", "browse"], ["C", "category"], ["Z", "enlarge"], ["?", "all keys"]];

/** The keys that are used most, for the foot of the page. */
export const legend = (mode) => [...SHORT[mode], ...SHORT_COMMON].map(([names, what]) => el("span", {}, ...names.split(" ").map(key), what));

/** All keys by group. */
export const keyGroups = (mode) => [["Deciding", OWN[mode]], ["Getting about", COMMON]];
