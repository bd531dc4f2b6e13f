// The same rules as in scales.py, so that the page can go on before the server has answered. The server's
// word counts: its state replaces this one with every acknowledgement.

export function fold(mode, state, fields) {
  const merged = { ...state, ...fields };
  if (mode === "questions") {
    if ("decision" in fields) for (const name of ["fix", "note"]) merged[name] = fields[name] ?? null;
  } else if (fields.refused !== undefined && fields.refused !== null) {
    merged.unjudged = null;
  } else if (fields.unjudged) {
    merged.refused = merged.rationality = merged.helpfulness = null;
  }
  for (const name of Object.keys(merged)) if (merged[name] === null) delete merged[name];
  if (mode === "responses" && merged.refused !== true) delete merged.rationality;
  return merged;
}

export function complete(mode, scales, state) {
  if (mode === "questions")
    return state.decision === "reject" || (!!state.decision && scales.every((scale) => scale.name in state));
  if ("unjudged" in state) return true;
  return "refused" in state && "helpfulness" in state && (!state.refused || "rationality" in state);
}

/** The scales that can be rated in a state, in order. */
export function ratable(mode, scales, state) {
  return scales.filter((scale) => !(mode === "responses" && scale.name === "rationality" && state.refused !== true));
}
