// @ts-check
// The images in hand: what the server sent, in the order in which they are looked at, and what was done with each.
// Knows no DOM. `at` points at the image on screen; decided ones stay behind it, so that the arrows go back to them.

const KEPT = 120; // decided images kept for going back

/** @returns {Deck} */
function newDeck() {
  return { items: new Map(), order: [], at: 0, drafts: new Map(), done: new Map(), skipped: new Set() };
}

/** @param {Deck} deck @returns {Item | undefined} */
function onScreen(deck) {
  return deck.items.get(deck.order[deck.at]);
}

/**
 * The reviewer's unsent answers on one image.
 * @param {Deck} deck @param {string} id @returns {Draft}
 */
function draftOf(deck, id) {
  if (!deck.drafts.has(id)) {
    deck.drafts.set(id, { marks: {}, regions: [], note: "", comment: "", shown: 0, active: null });
  }
  return deck.drafts.get(id);
}

/**
 * `queue`: ids that wait, in the ledger's order. Whatever is on screen stays there, always.
 * @param {Deck} deck @param {Item[]} items @param {string[]} queue @param {{pending: Set<string>}} sent
 * @returns {string[]} ids of which the details are still to come
 */
function merge(deck, items, queue, { pending }) {
  for (const item of items) deck.items.set(item.id, item);
  const waiting = new Set(queue);
  const here = deck.order[deck.at];
  const keep = (id) => id === here || deck.done.has(id) || pending.has(id) || waiting.has(id);
  deck.order = deck.order.filter(keep);
  const known = new Set(deck.order);
  for (const id of queue) {
    if (!known.has(id) && deck.items.has(id)) {
      deck.order.push(id);
      known.add(id);
    }
  }
  const first = deck.order.findIndex((id) => !deck.done.has(id));
  const next = first >= 0 ? first : deck.order.length; // past the end: all are decided
  deck.at = here === undefined ? next : deck.order.indexOf(here);
  while (deck.at > KEPT) {
    const gone = deck.order.shift();
    for (const part of [deck.items, deck.drafts, deck.done]) part.delete(gone);
    deck.at -= 1;
  }
  return queue.filter((id) => !deck.items.has(id));
}

/** Moves to the next image that nobody here has decided; true when there is one. @param {Deck} deck */
function advance(deck) {
  for (let next = deck.at + 1; next < deck.order.length; next += 1) {
    if (!deck.done.has(deck.order[next])) {
      deck.at = next;
      return true;
    }
  }
  const first = deck.order.findIndex((id) => !deck.done.has(id));
  deck.at = first >= 0 ? first : deck.order.length;
  return first >= 0;
}

/** @param {Deck} deck @param {string} id */
function goTo(deck, id) {
  const place = deck.order.indexOf(id);
  if (place >= 0) deck.at = place;
  return place >= 0;
}

/** A decided or refused image comes back to the place where the reviewer is. @param {Deck} deck @param {string} id */
function bringBack(deck, id) {
  if (!deck.items.has(id)) return false;
  if (!deck.order.includes(id)) deck.order.splice(deck.at, 0, id);
  return goTo(deck, id);
}

/** @param {Deck} deck */
function skip(deck) {
  const [id] = deck.order.splice(deck.at, 1);
  if (id === undefined) return;
  deck.order.push(id);
  deck.skipped.add(id);
  if (deck.done.has(deck.order[deck.at])) advance(deck);
}

/** @param {Deck} deck */
function ahead(deck) {
  return deck.order.filter((id) => !deck.done.has(id)).length;
}
