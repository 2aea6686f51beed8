// @ts-check
// The reviewing screen as one Streamlit component. Streamlit calls the default function on every rerun: the screen is
// built once for its place in the page and afterwards only handed new data. It may also be taken down and put up again
// in the same place (a lost connection does that); deck and outbox survive it.

const screens = new WeakMap();

export default function mount({ data, parentElement, setStateValue }) {
  let view = screens.get(parentElement);
  if (!view) {
    view = build(parentElement);
    screens.set(parentElement, view);
  }
  if (!view.stop) attach(view);
  view.set = setStateValue;
  take(view, data);
  return () => {
    view.stop.abort();
    view.stop = null;
    clearInterval(view.clock);
    view.resize.disconnect();
  };
}

function build(shadow) {
  const root = shadow.querySelector("[data-part=root]");
  const parts = {};
  for (const node of root.querySelectorAll("[data-part]")) parts[node.dataset.part] = node;
  const view = { shadow, root, parts, deck: newDeck(), pool: newPool(), filter: {}, paces: [], undone: [], mine: [], beside: 0, dialog: "", boxesShown: true, missing: 0, over: 0 };
  view.look = { zoom: 0, x: 0, y: 0, mode: "", split: 0.5 };
  view.outbox = newOutbox(() => sync(view));
  parts.keys.replaceChildren(...KEYS.flatMap(([, , key, what]) => [make("dt", {}, make("kbd", { text: key })), make("dd", { text: what })]));
  return view;
}

function attach(view) {
  const { root, parts } = view;
  view.stop = new AbortController();
  const on = { signal: view.stop.signal };
  document.addEventListener("keydown", (event) => onKey(view, event), on);
  document.addEventListener("keyup", (event) => onKeyUp(view, event), on);
  window.addEventListener("blur", () => view.look.mode === "blink" && compare(view, ""), on);
  window.addEventListener("beforeunload", (event) => view.outbox.waiting.length && event.preventDefault(), on);
  root.addEventListener("click", (event) => onClick(view, event), on);
  root.addEventListener("change", (event) => onChange(view, event), on);
  parts.ask.addEventListener("input", (event) => onAsked(view, event), on);
  parts.ask.addEventListener("submit", (event) => (event.preventDefault(), answer(view)), on);
  parts.note.addEventListener("input", () => keepNote(view), on);
  onPointers(view, on);
  view.resize = new ResizeObserver(() => layout(view));
  view.resize.observe(parts.stage);
  view.clock = setInterval(() => view.data && tick(view), 1000);
}

function tick(view) {
  remember(view.outbox);
  showProgress(view);
  const left = adopt(view.outbox);
  if (left.length) notice(view, { title: "From before:", text: `${left.length} decision${left.length > 1 ? "s" : ""} had not reached the server; sent now.` });
  resend(view.outbox);
}

/** New data from the server: answers first, then images; what is on screen stays. */
function take(view, data) {
  const first = !view.data;
  const before = onScreen(view.deck);
  view.data = data;
  if (first) view.filter = data.filter || {};
  view.outbox.reviewer = data.reviewer;
  const answers = settle(view.outbox, data.answers);
  const renewed = new Set(answers.filter((answer) => !answer.ok).map((answer) => answer.image));
  for (const item of data.items) if (!view.deck.items.has(item.id) || renewed.has(item.id)) view.deck.items.set(item.id, item);
  const pending = new Set(view.outbox.waiting.map((event) => event.image));
  for (const answer of answers) if (!answer.ok) refused(view, answer);
  const missing = merge(view.deck, [], data.queue, { pending });
  if (!onScreen(view.deck)) advance(view.deck);
  view.missing = missing.length;
  showPreview(view, data.preview);
  if (missing.length) setTimeout(() => flush(view.outbox), 30);
  if (onScreen(view.deck)?.id !== before?.id || first) show(view);
  else refresh(view);
}

function sync(view) {
  const { deck, outbox, filter } = view;
  const open = (id) => deck.items.has(id) && !deck.done.has(id);
  const have = deck.order.filter(open);
  const ahead = deck.order.slice(deck.at).filter(open).length;
  const { client, attempt, answered, waiting } = outbox;
  view.set?.("sync", { client, attempt, answered, outbox: waiting, have, ahead, skipped: [...deck.skipped].filter(open), over: view.over, filter, preview: wishOf(view) });
}

function wishOf(view) {
  const { number, id, changes } = view.wish || {};
  return view.dialog === "ask" && id ? { number, id, changes } : null;
}

function refused(view, answer) {
  view.deck.done.delete(answer.image);
  view.mine = view.mine.filter((decision) => decision.seq !== answer.seq);
  const there = bringBack(view.deck, answer.image);
  notice(view, { title: answer.title, text: answer.message, image: there ? answer.image : "", kind: "bad" });
}

function show(view) {
  const item = onScreen(view.deck);
  if (item) draftOf(view.deck, item.id).shown = performance.now();
  view.beside = 0;
  view.parts.right?.scrollTo?.(0, 0);
  showPicture(view);
  refresh(view);
}

function refresh(view) {
  showPanel(view);
  showStrip(view);
  showProgress(view);
  showFilters(view);
}

/** One decision on the image that is on screen now. */
function decide(view, verdict, { reasons = [], changes = null } = {}) {
  const item = onScreen(view.deck);
  const draft = draftOf(view.deck, item.id);
  const seconds = Math.round((performance.now() - draft.shown) / 100) / 10;
  const event = { image: item.id, revision: item.revision, verdict, marks: { ...draft.marks }, reasons, regions: draft.regions, note: draft.note, changes, seconds };
  const seq = view.outbox.seq + 1;
  item.revision += 1;
  view.deck.done.set(item.id, { verdict, seq });
  view.mine.push({ id: item.id, seq });
  view.paces.push(performance.now());
  advance(view.deck);
  show(view);
  post(view.outbox, event);
  showProgress(view); // "all saved" must not stand there while this one is on its way
  say(view, `${VERDICT_WORD[verdict]}: ${item.asset}, ${item.variant}`);
}

function undo(view) {
  const here = view.deck.order[view.deck.at];
  const found = view.mine.findLastIndex((decision) => decision.id === here);
  const [last] = view.mine.splice(found >= 0 ? found : view.mine.length - 1, 1);
  if (!last) return notice(view, { title: "Nothing to undo:", text: "you have decided nothing since this page was opened. Older decisions are on the Decisions page." });
  const item = view.deck.items.get(last.id);
  view.deck.done.delete(last.id);
  bringBack(view.deck, last.id);
  const event = { image: last.id, revision: item.revision, verdict: "undo", undoes: last.seq, marks: {}, reasons: [], regions: [], note: "", changes: null, seconds: null };
  item.revision += 1;
  view.undone.push(performance.now());
  show(view);
  post(view.outbox, event);
  showProgress(view); // "all saved" must not stand there while this one is on its way
  say(view, `Taken back: ${item.asset}, ${item.variant}`);
}

function keepNote(view) {
  const item = onScreen(view.deck);
  if (item) draftOf(view.deck, item.id).note = view.parts.note.value;
}

function cycleMark(view, criterion) {
  const item = onScreen(view.deck);
  if (!item || !criterion || view.deck.done.has(item.id)) return;
  const draft = draftOf(view.deck, item.id);
  const next = NEXT_MARK[draft.marks[criterion]];
  if (next) draft.marks[criterion] = next;
  else delete draft.marks[criterion];
  draft.active = criterion;
  const focused = view.shadow.activeElement?.dataset?.mark;
  showMarks(view, item, draft);
  if (focused) view.root.querySelector(`[data-mark=${focused}]`)?.focus();
  say(view, `${criterion}: ${next || "not answered"}`);
}
