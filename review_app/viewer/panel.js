// @ts-check
// Everything beside the picture. Text from manifests, prompts, notes and OCR goes in by textContent, never as markup.

const NEXT_MARK = { undefined: "bad", bad: "ok", ok: undefined };
const MARK_WORD = { undefined: "not marked", bad: "✕ bad", ok: "✓ ok" };
const RESULT_WORD = { pass: "nothing found", flag: "look here", error: "check failed", not_checked: "not checked" };
const VERDICT_WORD = { approve: "Approved", reject: "Rejected", retake: "Sent back", undo: "Taken back" };

/**
 * @param {string} tag
 * @param {{text?: any, cls?: string, [attribute: string]: any}} [options] anything else is an attribute
 * @param {...(Node | string)} children
 * @returns {any}
 */
function make(tag, { text, cls, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (cls) node.className = cls;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function showPanel(view) {
  const item = onScreen(view.deck);
  const { parts } = view;
  view.root.classList.toggle("nothing", !item);
  showEmpty(view, item);
  if (!item) return;
  const draft = draftOf(view.deck, item.id);
  parts.title.textContent = item.asset;
  const about = [item.variant, item.tier, item.take > 1 ? `take ${item.take}` : "", `${item.width} × ${item.height}`];
  parts.subtitle.textContent = [item.project, ...about].filter(Boolean).join(" · ");
  parts.step.textContent = item.step ? `Step ${item.steps.indexOf(item.step) + 1} of ${item.steps.length}: ${item.step}` : "";
  view.root.querySelector("[data-act=promote]")?.remove();
  if (item.promotes) view.root.querySelector("[data-act=approve]").after(promoteButton());
  showRating(view, item);
  showMarks(view, item, draft);
  showBeside(view, item);
  showRegions(view, draft);
  if (view.parts.note !== view.shadow.activeElement) parts.note.value = draft.note;
  parts.prompt.textContent = item.prompt;
  parts.negative.textContent = item.negative ? `without: ${item.negative}` : "";
  parts.params.replaceChildren(...item.params.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]));
  showHistory(view, item);
  showComments(view, item, draft);
  showStamp(view, item);
}

function promoteButton() {
  const button = make("button", { type: "button", cls: "promote", "data-act": "promote", "aria-keyshortcuts": "P" });
  button.title = "Approve this draft and make its final tonight (P)";
  button.append(make("b", { text: "Approve + final" }), " ", make("kbd", { text: "P" }));
  return button;
}

function showEmpty(view, item) {
  const { empty } = view.parts;
  empty.hidden = Boolean(item);
  if (item) return;
  const left = ahead(view.deck);
  const { elsewhere, filtered, later } = view.data;
  const nodes = [];
  const say = (title, text) => nodes.push(make("h2", { text: title }), make("p", { text }));
  if (left || view.missing) say("One moment", "The next images are on their way.");
  else if (elsewhere.length) {
    const hands = elsewhere.map(({ who, images, until }) => `${who} has ${images} (until ${until})`);
    say("The rest is in other hands", `${hands.join(", ")}. They come back by themselves when nobody works on them.`);
    nodes.push(make("button", { type: "button", "data-act": "takeover", text: "Take them over" }));
  } else if (filtered) say("Nothing waits under this filter", "Choose All above to see the rest.");
  else if (view.deck.done.size) say("All looked at", "Every image has its decision. U takes the last one back.");
  else if (!later.length) say("Nothing waits", "The next night fills this page. Submit orders images; Nights shows what ran.");
  if (later.length && !left && !view.missing) say(nodes.length ? "Waits for others" : "Nothing waits for you", `${later.map(({ step, images }) => `${images} for ${step}`).join(", ")}. Each step of a review is taken by those it names.`);
  empty.replaceChildren(...nodes);
}

function showMarks(view, item, draft) {
  const findings = new Map(item.findings.map((finding) => [finding.check, finding]));
  const others = item.findings.map((finding) => finding.check).filter((check) => !item.criteria.includes(check));
  const rows = item.criteria.map((criterion, index) => {
    const mark = draft.marks[criterion];
    const button = make(
      "button",
      { type: "button", cls: `mark ${mark || "unset"}`, "data-mark": criterion, "aria-keyshortcuts": String(index + 1) },
      make("kbd", { text: String(index + 1) }),
      make("span", { text: capital(criterion), cls: "name" }),
      make("span", { text: MARK_WORD[mark], cls: "answer" }),
    );
    button.setAttribute("aria-label", `${criterion}: ${mark || "not answered"}`);
    return make("div", { cls: "criterion" }, button, sentence(findings.get(criterion)), ...evidence(view, item, findings.get(criterion)));
  });
  const advisory = others.map((check) =>
    make("div", { cls: "criterion" }, make("span", { cls: "mark only", text: capital(check) }), sentence(findings.get(check)), ...evidence(view, item, findings.get(check))),
  );
  replaceInFocus(view.parts.marks, [...rows, ...advisory]);
}

/** New children in place of the old; the button in focus stays in focus, where there is one of the same data. */
function replaceInFocus(parent, children) {
  const before = parent.getRootNode().activeElement;
  const data = before && parent.contains(before) ? JSON.stringify(before.dataset) : "";
  parent.replaceChildren(...children);
  if (!data) return;
  const after = [...parent.querySelectorAll("button")].find((button) => JSON.stringify(button.dataset) === data);
  after?.focus({ preventScroll: true });
}

function sentence(finding) {
  if (!finding) return make("p", { cls: "finding not_checked" }, make("b", { text: "not checked" }));
  const line = make("p", { cls: `finding ${finding.result}` }, make("b", { text: RESULT_WORD[finding.result] }));
  if (finding.result !== "pass" || finding.sentence) line.append(` ${finding.sentence}`);
  return line;
}

function showBeside(view, item) {
  const inPanes = view.look.panes ? paneChoice(view, item) : null;
  const buttons = item.beside.map((other, index) => {
    const image = make("img", { alt: "", loading: "lazy", ...(view.ready ? { src: other.thumb || other.url } : {}) });
    const chosen = inPanes ? inPanes.includes(index) : index === view.beside % item.beside.length;
    return make(
      "button",
      { type: "button", cls: "thumb", [inPanes ? "data-pane" : "data-beside"]: String(index), "aria-pressed": String(chosen) },
      image,
      make("span", { text: other.label }),
    );
  });
  replaceInFocus(view.parts.beside, buttons);
  view.parts.compare.hidden = !buttons.length;
}

function showRegions(view, draft) {
  const { regions } = view.parts;
  const writes = regions.contains(view.shadow.activeElement) && view.shadow.activeElement.tagName === "INPUT";
  if (writes && regions.children.length === draft.regions.length) return;
  const rows = draft.regions.map((region, index) => {
    const where = region.criterion || "this image";
    const words = make("input", { type: "text", "data-label": String(index), maxlength: "300", placeholder: "What is wrong here", value: region.label || "" });
    words.setAttribute("aria-label", `What the ${region.shape || "box"} for ${where} says`);
    const remove = make("button", { type: "button", cls: "quiet small", "data-drop": String(index), text: "Remove" });
    remove.setAttribute("aria-label", `Remove the ${region.shape || "box"} for ${where}`);
    return make("div", { cls: "region" }, make("span", { text: `${capital(region.shape || "box")}: ${region.criterion || "here"}` }), words, remove);
  });
  regions.replaceChildren(...rows);
}

function showHistory(view, item) {
  const rows = item.decisions.map((decision) => {
    const what = [VERDICT_WORD[decision.verdict], ...decision.reasons].join(", ");
    const row = make("p", { cls: `past ${decision.verdict}` }, make("b", { text: what }), ` by ${decision.reviewer}${decision.step && ` as ${decision.step}`}, ${decision.when}`);
    if (decision.of) row.prepend(make("span", { cls: "of", text: `${decision.of}: ` }));
    if (decision.note) row.append(make("q", { text: decision.note }));
    return row;
  });
  view.parts.history.replaceChildren(...rows);
}

function showStamp(view, item) {
  const done = view.deck.done.get(item.id);
  const verdict = done?.verdict || item.standing;
  view.parts.stamp.hidden = !verdict;
  view.parts.stamp.className = `stamp ${verdict || ""}`;
  view.parts.stamp.textContent = verdict ? VERDICT_WORD[verdict] + (done ? "" : ` by ${item.standing_by}`) : "";
}

function showStrip(view) {
  const { deck } = view;
  const ids = deck.order.slice(Math.max(0, deck.at - 4), deck.at + 16);
  view.parts.strip.replaceChildren(...ids.map((id) => tile(view, id)));
}

function tile(view, id) {
  const item = view.deck.items.get(id);
  const done = view.deck.done.get(id);
  const here = id === view.deck.order[view.deck.at];
  const image = make("img", { alt: "", loading: "lazy", ...(view.ready ? { src: item.thumb } : {}) }); // after the first picture
  const button = make("button", { type: "button", cls: `tile ${done ? done.verdict : ""}`, "data-go": id }, image);
  button.setAttribute("aria-label", `${item.asset}, ${item.variant}${done ? `, ${VERDICT_WORD[done.verdict]}` : ""}`);
  button.title = `${item.asset} · ${item.variant}`;
  if (here) button.setAttribute("aria-current", "true");
  if (item.findings.some((finding) => finding.result === "flag")) button.append(make("i", { cls: "flagged" }));
  return button;
}

function showProgress(view) {
  const { counts } = view.data;
  if (view.counted !== counts) Object.assign(view, { counted: counts, countedAt: performance.now() - counts.age * 1000 });
  const since = (times) => times.filter((time) => time >= view.countedAt).length;
  const unsent = since(view.paces) - since(view.undone);
  const left = Math.max(0, counts.waiting - unsent);
  const recent = view.paces.filter((time) => performance.now() - time < 300_000);
  const minutes = recent.length > 2 ? (performance.now() - recent[0]) / 60_000 : 0;
  const rate = minutes > 0 ? recent.length / minutes : 0;
  const words = [`${left} waiting`, `${counts.mine + unsent} by you today`];
  if (counts.team > counts.mine) words.push(`${counts.team + unsent} by all`);
  if (rate) words.push(`${rate.toFixed(rate < 10 ? 1 : 0)} a minute`);
  if (rate && left) words.push(left / rate < 1 ? "under a minute left" : `about ${span(left / rate)} left`);
  view.parts.progress.replaceChildren(...words.map((word) => make("span", { text: word })));
  const waiting = view.outbox.waiting.length;
  const late = waiting && performance.now() - view.outbox.sentAt > AGAIN_MS * 0.8;
  view.parts.saved.className = `saved ${late ? "late" : ""}`;
  view.parts.saved.textContent = late
    ? `${waiting} not saved yet, trying again: ${view.data.trouble || "the server does not answer"}`
    : waiting ? "saving…" : view.outbox.answered ? "all saved" : "";
}

function span(minutes) {
  return minutes < 90 ? `${Math.round(minutes)} min` : `${(minutes / 60).toFixed(1)} h`;
}

function showFilters(view) {
  for (const [name, values] of Object.entries(view.data.filters)) {
    const select = view.parts[name];
    if (select === view.shadow.activeElement) continue;
    const options = [make("option", { value: "", text: "All" })];
    const shown = view.filter[name] && !values.includes(view.filter[name]) ? [...values, view.filter[name]] : values;
    options.push(...shown.map((value) => make("option", { value, text: name === "maybe" ? maybeWord(value) : (name === "playlist" && view.data.playlists[value]) || value })));
    select.replaceChildren(...options);
    select.value = view.filter[name] || "";
    select.parentElement.hidden = values.length < (name === "playlist" ? 1 : 2) && !view.filter[name];
  }
  showSaved(view);
}

/** Filters with a name, and where the one that is shown gets one. */
function showSaved(view) {
  const { named, save } = view.parts;
  const filter = Object.entries(view.filter).filter(([, value]) => value);
  const key = (entries) => JSON.stringify([...entries].sort());
  const here = view.data.saved.findIndex(({ query }) => key(Object.entries(query)) === key(filter));
  save.hidden = !filter.length || here >= 0 || !view.data.may_decide;
  save.href = `playlists?${new URLSearchParams(filter)}`;
  if (named === view.shadow.activeElement) return;
  named.replaceChildren(make("option", { value: "", text: "None" }), ...view.data.saved.map(({ name }, number) => make("option", { value: String(number), text: name })));
  named.value = here >= 0 ? String(here) : "";
  named.parentElement.hidden = !view.data.saved.length;
}

/** @param {View} view @param {{title: string, text: string, image?: string, kind?: string}} what */
function notice(view, { title, text, image, kind }) {
  const row = make("div", { cls: `notice ${kind || ""}` }, make("b", { text: title }), make("span", { text }));
  if (image && view.deck.items.has(image)) row.append(make("button", { type: "button", cls: "quiet small", "data-go": image, text: "Show it" }));
  row.append(make("button", { type: "button", cls: "quiet small", "data-act": "dismiss", text: "Dismiss" }));
  view.parts.notices.append(row);
  while (view.parts.notices.children.length > 4) view.parts.notices.firstChild.remove();
}

function say(view, text) {
  view.parts.said.textContent = text;
}
