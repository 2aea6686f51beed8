// @ts-check
// What is chosen among `total` places, as in a file manager. Knows no DOM.

/** @typedef {{total: number, places: Set<number>, anchor: number, cursor: number}} Selection */

/** @param {number} total @returns {Selection} */
function newSelection(total) {
  return { total, places: new Set(), anchor: 0, cursor: 0 };
}

/** @param {Selection} chosen @param {number} from @param {number} to */
function addRange(chosen, from, to) {
  for (let place = Math.min(from, to); place <= Math.max(from, to); place += 1) chosen.places.add(place);
}

/**
 * A click, or a move of the cursor. `extend`: from the anchor to here (Shift). `keep`: what was chosen stays (Ctrl,
 * Command, a finger); without `extend` the place is then switched on or off.
 * @param {Selection} chosen @param {number} place @param {{extend?: boolean, keep?: boolean}} how
 */
function pick(chosen, place, { extend = false, keep = false } = {}) {
  if (!chosen.total) return;
  const at = Math.max(0, Math.min(chosen.total - 1, place));
  if (!keep) chosen.places.clear();
  if (extend) addRange(chosen, chosen.anchor, at);
  else if (keep && chosen.places.has(at)) chosen.places.delete(at);
  else chosen.places.add(at);
  if (!extend) chosen.anchor = at;
  chosen.cursor = at;
}

/** @param {Selection} chosen */
function pickAll(chosen) {
  if (chosen.total) addRange(chosen, 0, chosen.total - 1);
}

/** The chosen places as ranges, both ends included: short for the way to the server. @param {Selection} chosen */
function rangesIn(chosen) {
  const sorted = [...chosen.places].sort((a, b) => a - b);
  /** @type {[number, number][]} */
  const ranges = [];
  for (const place of sorted) {
    const last = ranges.at(-1);
    if (last && last[1] === place - 1) last[1] = place;
    else ranges.push([place, place]);
  }
  return ranges;
}
