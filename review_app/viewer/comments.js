// @ts-check
// What people say about the image. Comments come with the images; a new one goes by the outbox, as decisions do, and
// stands in the list at once. Text goes in by textContent, never as markup.

const LONG = { letters: 400, lines: 8 }; // beyond that a comment is folded

function listenToComments(view, on) {
  const { comment, foryou } = view.parts;
  comment.addEventListener("input", () => (keepComment(view), suggestNames(view)), on);
  comment.addEventListener("keydown", (event) => commentKey(view, event), on);
  comment.addEventListener("focus", () => askForNames(view), on);
  comment.addEventListener("blur", () => showSending(view), on);
  foryou.addEventListener("click", (event) => {
    const link = [...document.querySelectorAll("a")].find((one) => one.href === foryou.href);
    if (link) (event.preventDefault(), link.click()); // the page's own link keeps the session
  }, on);
}

/** @param {View} view @param {Item} item @param {Draft} draft */
function showComments(view, item, draft) {
  const { parts } = view;
  if (view.talkOf !== item.id) leaveComments(view, item.id);
  replaceInFocus(parts.comments, item.comments.map((one) => commentRow(view, one)));
  if (parts.comment !== view.shadow.activeElement) parts.comment.value = draft.comment;
  parts["comment-label"].hidden = !view.data.may_decide;
  showSending(view);
  const fresh = item.comments.filter((one) => one.new).length;
  parts.talked.hidden = !item.comments.length;
  parts.talked.textContent = `${item.comments.length} comment${item.comments.length > 1 ? "s" : ""}${fresh ? `, ${fresh} new` : ""}`;
  parts.talked.classList.toggle("new", fresh > 0);
}

/** What was read of the image before is not new when one comes back to it. */
function leaveComments(view, id) {
  for (const one of view.deck.items.get(view.talkOf)?.comments || []) if (one.seen) one.new = false;
  view.talkOf = id;
  view.parts.names.hidden = true;
}

/** @param {View} view @param {Comment} one */
function commentRow(view, one) {
  const key = String(one.token || one.id);
  const head = make("header", {}, make("b", { text: one.by, dir: "auto" }), make("span", { text: [one.when, one.of && `on ${one.of}`].filter(Boolean).join(", ") }));
  if (one.new) head.append(make("span", { cls: "fresh", text: "new" }));
  const row = make("article", { cls: `said ${one.new ? "new" : ""} ${one.token ? "waits" : ""}`, "data-comment": key }, head);
  const long = one.text.length > LONG.letters || one.text.split("\n").length > LONG.lines;
  const folded = long && !view.unfolded.has(key);
  row.append(make("p", { cls: `words ${folded ? "folded" : ""}`, text: one.text, dir: "auto" }));
  if (long) row.append(make("button", { type: "button", cls: "quiet small", "data-unfold": key, "aria-expanded": String(!folded), text: folded ? "Show all of it" : "Show less" }));
  if (one.names.length) row.append(make("p", { cls: "whom", text: `Tells ${one.names.map((name) => (name === view.data.reviewer ? "you" : name)).join(", ")}` }));
  if (one.unknown.length) row.append(make("p", { cls: "nobody", text: explainUnknown(one.unknown) }));
  return row;
}

function explainUnknown(names) {
  return `Not told: ${names.map((name) => `“${name}”`).join(", ")}. Nobody here has that name, or several have.`;
}

function unfoldComment(view, key) {
  if (!view.unfolded.delete(key)) view.unfolded.add(key);
  const item = onScreen(view.deck);
  showComments(view, item, draftOf(view.deck, item.id));
}

function showSending(view) {
  const { comment, sending } = view.parts;
  sending.hidden = !view.data?.may_decide || (!comment.value.trim() && view.shadow.activeElement !== comment);
  comment.style.height = ""; // as high as its text, up to a third of the screen; an empty one costs no layout
  if (comment.value) comment.style.height = `${Math.min(comment.scrollHeight + 2, innerHeight / 3)}px`;
}

function keepComment(view) {
  const item = onScreen(view.deck);
  if (item) draftOf(view.deck, item.id).comment = view.parts.comment.value;
  showSending(view);
}

function writeComment(view) {
  if (view.data.may_decide) view.parts.comment.focus({ preventScroll: true });
  view.parts.talk.scrollIntoView({ block: "nearest" });
  revealField(view);
}

/** The field with what stands below it, above the edge of the panel. */
function revealField(view) {
  const { sending, comment } = view.parts;
  (sending.hidden ? comment : sending).scrollIntoView({ block: "nearest" });
}

function commentKey(view, event) {
  if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
  if (nameKey(view, event)) return;
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  const item = onScreen(view.deck);
  if (item && sendComment(view, item)) view.parts.stage.focus({ preventScroll: true });
}

/** Sends what is in the image's field; false when that is nothing. @param {View} view @param {Item} item */
function sendComment(view, item) {
  const draft = draftOf(view.deck, item.id);
  const text = draft.comment.trim();
  if (!text || !view.data.may_decide) return false;
  const token = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("").padEnd(8, "0");
  draft.comment = "";
  item.comments.push({ id: 0, by: view.data.reviewer, when: "sending…", text, names: [], unknown: [], of: "", new: false, token });
  if (onScreen(view.deck) === item) {
    view.parts.comment.value = "";
    view.parts.names.hidden = true;
    showComments(view, item, draft);
  }
  post(view.outbox, { image: item.id, revision: -1, verdict: "comment", comment: text, token });
  showProgress(view);
  say(view, "Comment sent");
  return true;
}

/** The server's answer to one: it stands there as it was written, or its words are in the field again. */
function commented(view, answer, sent) {
  const item = view.deck.items.get(answer.image);
  const place = item ? item.comments.findIndex((one) => one.token === answer.token) : -1;
  if (answer.ok && place >= 0) item.comments.splice(place, 1, answer.comment);
  else if (answer.ok && item) addComments(item, [answer.comment]);
  else if (!answer.ok && item) {
    if (place >= 0) item.comments.splice(place, 1);
    const draft = draftOf(view.deck, item.id);
    draft.comment = [sent?.comment, draft.comment].filter(Boolean).join("\n");
  }
  if (!answer.ok) notice(view, { title: answer.title, text: item ? answer.message : `${answer.message} “${sent?.comment || ""}”`, image: item ? item.id : "", kind: "bad" });
  else if (answer.comment.unknown.length) notice(view, { title: "Comment recorded.", text: explainUnknown(answer.comment.unknown), image: item ? item.id : "" });
}

function addComments(item, comments) {
  const known = new Set(item.comments.map((one) => one.id));
  item.comments.push(...comments.filter((one) => !known.has(one.id)));
}

/** What came of comments with the server's data: others' since then, what counts as read, names, the feed's number. */
function takeTalk(view, data) {
  for (const number of data.read || []) view.read.delete(number);
  for (const [image, comments] of Object.entries(data.news || {})) {
    const item = view.deck.items.get(image);
    if (item) addComments(item, comments.filter((one) => one.by !== data.reviewer || !item.comments.some((mine) => mine.token)));
  }
  if (data.people && view.lacksNames) takeNames(view, data.people);
  view.parts.foryou.hidden = !data.unread;
  view.parts.foryou.textContent = `${data.unread} for you`;
  view.parts.foryou.setAttribute("aria-label", `${data.unread} unread mentions and answers for you`);
}

/** Once a second: comments that are in view for so long are read. They are told with what is sent next, or now. */
function noticeRead(view) {
  const item = onScreen(view.deck);
  if (!item || document.hidden || view.dialog) return;
  const room = view.parts.talk.parentElement.getBoundingClientRect();
  let told = false;
  for (const one of item.comments) {
    if (!one.new || one.seen || !one.id) continue;
    const box = view.parts.comments.querySelector(`[data-comment="${one.id}"]`)?.getBoundingClientRect();
    if (!box || box.top > Math.min(room.bottom, innerHeight) - 20 || box.bottom < Math.max(room.top, 0)) continue;
    if (one.glimpsed) (view.read.add(one.id), (one.seen = true), (told = true));
    one.glimpsed = true;
  }
  if (told) flush(view.outbox);
}

/** Words in a field that were never sent. */
function unsentComments(view) {
  return [...view.deck.drafts.values()].some((draft) => draft.comment.trim());
}
