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
  const view = { shadow, root, parts, deck: newDeck(), pool: newPool(), filter: {}, paces: [], undone: [], mine: [], beside: 0, dialog: "", boxesShown: true, draws: "", thickness: 0.05, missing: 0, over: 0, read: new Set(), unfolded: new Set() };
  view.look = { zoom: 0, x: 0, y: 0, mode: "", split: 0.5, size: null, tiles: false, lit: false, across: 0, down: 0, seams: false, panes: 0, inspects: false, ...PLAIN };
  view.lit = newLit();
  view.outbox = newOutbox(() => sync(view));
  buildLooking(view);
  showTone(view);
  return view;
}

function attach(view) {
  const { root, parts } = view;
  view.stop = new AbortController();
  const on = { signal: view.stop.signal };
  document.addEventListener("keydown", (event) => onKey(view, event), on);
  document.addEventListener("keyup", (event) => onKeyUp(view, event), on);
  window.addEventListener("blur", () => view.look.mode === "blink" && compare(view, ""), on);
  window.addEventListener("beforeunload", (event) => (view.outbox.waiting.length || unsentComments(view)) && event.preventDefault(), on);
  root.addEventListener("click", (event) => onClick(view, event), on);
  root.addEventListener("change", (event) => onChange(view, event), on);
  parts.looking.addEventListener("input", (event) => onLook(view, event.target), on);
  parts.ask.addEventListener("input", (event) => onAsked(view, event), on);
  parts.find.addEventListener("input", () => findCommands(view), on);
  parts.ask.addEventListener("submit", (event) => (event.preventDefault(), answer(view)), on);
  parts.note.addEventListener("input", () => keepNote(view), on);
  listenToComments(view, on);
  parts.regions.addEventListener("input", (event) => nameRegion(view, event.target), on);
  onPointers(view, on);
  buildLit(view, on);
  view.resize = new ResizeObserver(() => layout(view));
  view.resize.observe(parts.stage);
  view.clock = setInterval(() => view.data && tick(view), 1000);
}

function tick(view) {
  remember(view.outbox);
  showProgress(view);
  const left = adopt(view.outbox);
  if (left.length) notice(view, { title: "From before:", text: `${left.length} ${left.every((one) => one.token) ? "comment" : left.every((one) => one.verdict === "rate") ? "rating" : "decision"}${left.length > 1 ? "s" : ""} had not reached the server; sent now.` });
  noticeRead(view);
  resend(view.outbox);
}

/** New data from the server: answers first, then images; what is on screen stays. */
function take(view, data) {
  const first = !view.data;
  const before = onScreen(view.deck);
  view.data = data;
  if (first) view.filter = data.filter || {};
  view.outbox.reviewer = data.reviewer;
  const sent = new Map(view.outbox.waiting.map((event) => [event.seq, event]));
  const settled = settle(view.outbox, data.answers);
  const answers = settled.filter((answer) => answer.token === undefined && answer.rating === undefined);
  const renewed = new Set(answers.filter((answer) => !answer.ok).map((answer) => answer.image));
  for (const item of data.items) if (!view.deck.items.has(item.id) || renewed.has(item.id) || item.id === view.want) view.deck.items.set(item.id, item);
  const pending = new Set(view.outbox.waiting.map((event) => event.image));
  for (const answer of answers) if (!answer.ok) refused(view, answer);
  for (const answer of settled) if (answer.token !== undefined) commented(view, answer, sent.get(answer.seq));
  for (const answer of settled) if (answer.rating !== undefined) rated(view, answer);
  takeTalk(view, data);
  const missing = merge(view.deck, [], data.queue, { pending });
  if (!onScreen(view.deck)) advance(view.deck);
  view.missing = missing.length;
  showPreview(view, data.preview);
  addKin(view, data.kin);
  if (data.older && view.recalling) setTimeout(() => recalled(view, data.older), 0);
  showWanted(view);
  for (const text of (first && data.link) || []) notice(view, { title: "Link:", text, kind: "bad" });
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
  view.set?.("sync", { client, attempt, answered, outbox: waiting, have, ahead, skipped: [...deck.skipped].filter(open), over: view.over, filter, preview: wishOf(view), recall: view.recalling || 0, want: view.want || "", kin: lacksKin(view), read: [...view.read], names: view.lacksNames ? 1 : 0 });
}

/** The image whose siblings are to come, while pictures are shown side by side. */
function lacksKin(view) {
  const item = view.look.panes ? onScreen(view.deck) : undefined;
  return item && !item.kin ? item.id : "";
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
  if (lacksKin(view)) flush(view.outbox);
}

function refresh(view) {
  showPanel(view);
  showStrip(view);
  showProgress(view);
  showFilters(view);
  keepHint(view);
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
  sendComment(view, item); // what was written and not sent goes with it
  showProgress(view); // "all saved" must not stand there while this one is on its way
  say(view, `${VERDICT_WORD[verdict]}: ${item.asset}, ${item.variant}`);
}

function undo(view) {
  const here = view.deck.order[view.deck.at];
  const found = view.mine.findLastIndex((decision) => decision.id === here);
  const [last] = view.mine.splice(found >= 0 ? found : view.mine.length - 1, 1);
  if (!last) return recall(view);
  const item = view.deck.items.get(last.id);
  view.deck.done.delete(last.id);
  bringBack(view.deck, last.id);
  takeBack(view, { image: last.id, revision: item.revision, undoes: last.seq });
  item.revision += 1;
  show(view);
  say(view, `Taken back: ${item.asset}, ${item.variant}`);
}

/** Posts the undo of one decision. */
function takeBack(view, { image, revision, undoes }) {
  view.undone.push(performance.now());
  post(view.outbox, { image, revision, verdict: "undo", undoes, marks: {}, reasons: [], regions: [], note: "", changes: null, seconds: null });
  showProgress(view); // "all saved" must not stand there while this one is on its way
}

/** Decisions from before this page was opened, or from another page: the server knows them. */
function recall(view) {
  if (!view.data.may_decide) return notice(view, { title: "Nothing to undo:", text: "your role does not decide." });
  if (!view.older) {
    view.recalling = (view.recalling || 0) + 1;
    return flush(view.outbox);
  }
  const last = view.older.shift();
  if (!last) return notice(view, { title: "Nothing to undo:", text: "nothing of yours can be taken back any more. Older decisions are on the Decisions page." });
  view.want = last.image;
  takeBack(view, last);
  const known = view.deck.items.get(last.image);
  if (known) known.revision = last.revision + 1;
  notice(view, { title: "Taken back:", text: `${last.name} (${VERDICT_WORD[last.verdict].toLowerCase()}, ${last.when})`, image: last.image });
}

/** The server's list of what can be taken back; each U that waited for it takes one. */
function recalled(view, older) {
  if (!older || !view.recalling) return;
  const mine = new Set(view.outbox.waiting.map((event) => event.image));
  view.older = older.filter((one) => !mine.has(one.image));
  for (; view.recalling > 0; view.recalling -= 1) recall(view);
  flush(view.outbox);
}

/** What was asked for by an undo comes on screen when it has arrived. */
function showWanted(view) {
  if (!view.want || !view.deck.items.has(view.want) || view.outbox.waiting.some((event) => event.image === view.want)) return;
  view.deck.done.delete(view.want);
  bringBack(view.deck, view.want);
  view.want = "";
}

function keepNote(view) {
  const item = onScreen(view.deck);
  if (item) draftOf(view.deck, item.id).note = view.parts.note.value;
}

function nameRegion(view, field) {
  const item = onScreen(view.deck);
  const region = item && draftOf(view.deck, item.id).regions[Number(field.dataset.label)];
  if (!region) return;
  region.label = field.value;
  drawBoxes(view);
}

function cycleMark(view, criterion) {
  const item = onScreen(view.deck);
  if (!item || !criterion || view.deck.done.has(item.id)) return;
  doneAct(view, "mark");
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
