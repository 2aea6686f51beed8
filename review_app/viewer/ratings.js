// @ts-check
// Stars and a colour, for what is neither yes nor no yet. They go by the outbox and decide nothing.

const MOST_STARS = 5;
const RATING_COLOURS = ["red", "yellow", "green", "blue", "purple"];

/** The words of the filter on ratings. */
function maybeWord(value) {
  const stars = Number(value);
  return stars ? "★".repeat(stars) + (stars < MOST_STARS ? " and more" : "") : value;
}

/** @param {View} view @param {Item} item */
function showRating(view, item) {
  const { stars, colour } = item.rating;
  const buttons = [];
  for (let number = 1; number <= MOST_STARS; number += 1) {
    const button = make("button", { type: "button", cls: "star", "data-stars": String(number), text: number <= stars ? "★" : "☆" });
    button.setAttribute("aria-label", `${number} star${number > 1 ? "s" : ""}`);
    button.setAttribute("aria-pressed", String(number === stars));
    buttons.push(button);
  }
  for (const name of RATING_COLOURS) {
    const button = make("button", { type: "button", cls: `dot ${name}`, "data-dot": name, title: capital(name) });
    button.setAttribute("aria-label", name);
    button.setAttribute("aria-pressed", String(name === colour));
    buttons.push(button);
  }
  for (const button of buttons) button.disabled = !view.data.may_decide;
  replaceInFocus(view.parts.rating, buttons);
  view.parts.rating.title = item.rating.by ? `Given by ${item.rating.by}` : "Fewer and more stars (, .), next colour (;)";
}

/** @param {View} view @param {{stars?: number, colour?: string}} change */
function rate(view, change) {
  const item = onScreen(view.deck);
  if (!item) return;
  if (!view.data.may_decide) return notice(view, { title: "Only looking:", text: "your role does not rate.", kind: "bad" });
  const { stars, colour } = { ...item.rating, ...change };
  item.rating = { stars, colour, by: view.data.reviewer };
  showRating(view, item);
  post(view.outbox, { image: item.id, revision: -1, verdict: "rate", stars, colour: colour || null });
  showProgress(view);
  say(view, [stars ? `${stars} star${stars > 1 ? "s" : ""}` : "no star", colour || "no colour"].join(", "));
}

/** A star or a colour that is on already is taken off. */
function pressStar(view, number) {
  rate(view, { stars: onScreen(view.deck)?.rating.stars === number ? 0 : number });
}

function pressDot(view, name) {
  rate(view, { colour: onScreen(view.deck)?.rating.colour === name ? "" : name });
}

function moreStars(view, step) {
  rate(view, { stars: Math.max(0, Math.min(MOST_STARS, (onScreen(view.deck)?.rating.stars || 0) + step)) });
}

function nextColour(view) {
  const all = ["", ...RATING_COLOURS];
  rate(view, { colour: all[(all.indexOf(onScreen(view.deck)?.rating.colour || "") + 1) % all.length] });
}

/** The server's answer: what it has now; or why it was refused, and then what was there before. */
function rated(view, answer) {
  const item = view.deck.items.get(answer.image);
  const later = view.outbox.waiting.some((event) => event.verdict === "rate" && event.image === answer.image);
  if (item && answer.rating && !later) item.rating = answer.rating;
  if (!answer.ok) notice(view, { title: answer.title, text: answer.message, image: item ? item.id : "", kind: "bad" });
}
