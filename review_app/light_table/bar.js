// @ts-check
// What is done with the chosen ones: buttons, their keys, and the panel that asks for a reason or for a yes.

const SURE = 60; // more images than this are decided only after a second yes
const ACTS = { approve: "Approve", reject: "Reject", retake: "Retake", best: "Best", contest: "A or B", playlist: "Playlist" };

function imagesWord(count) {
  return count === 1 ? "1 image" : `${count.toLocaleString("en")} images`;
}

/** The section in which all of the chosen are; null when they are in several. */
function sectionChosen(view) {
  const [first, ...others] = rangesIn(view.chosen);
  if (!first) return view.data.sections.length === 1 ? view.rows.sections[0] : null;
  const last = others.at(-1) || first;
  const [from, to] = [first[0], last[1]].map((place) => sectionAt(view.rows, "first", place));
  return from === to ? view.rows.sections[from] : null;
}

function showBar(view) {
  const { parts, data } = view;
  const count = view.chosen.places.size;
  const section = sectionChosen(view);
  parts.count.textContent = count ? `${imagesWord(count)} chosen of ${data.total.toLocaleString("en")}` : `${imagesWord(data.total)} waiting`;
  for (const name of ["approve", "reject", "retake"]) {
    const button = parts[name];
    button.disabled = !count || !data.may_decide || view.busy;
    button.querySelector("b").textContent = count ? `${ACTS[name]} ${count.toLocaleString("en")}` : ACTS[name];
  }
  const titled = Boolean(section?.title || data.one_asset);
  parts.best.disabled = count !== 1 || !data.may_decide || view.busy || (titled && section.images < 2);
  parts.best.textContent = titled && section ? `Best of ${section.images.toLocaleString("en")}` : "Best of its asset";
  parts.contest.disabled = !data.may_decide || view.busy || !(count > 1 ? true : data.one_asset && data.total > 1);
  parts.playlist.disabled = !count || !data.may_decide || view.busy;
  parts.hint.textContent = data.may_decide ? "" : "Your role does not decide.";
  parts.busy.hidden = !view.busy;
}

/** A button or a key. Reject asks why; many images at once ask for a second yes. */
function start(view, name) {
  const { data, chosen } = view;
  if (!data.may_decide || view.busy || view.parts[name].disabled) return;
  const asks = name === "reject" || name === "retake";
  if (name === "playlist" || (!asks && chosen.places.size <= SURE)) return sendAct(view, { name });
  view.asking = { name, reasons: new Set() };
  const { parts } = view;
  parts.title.textContent = `${ACTS[name]} ${imagesWord(chosen.places.size)}?`;
  parts.why.hidden = !asks;
  parts.note.value = "";
  parts.wrong.textContent = "";
  parts.go.textContent = name === "retake" ? "Send back, each with a new seed" : ACTS[name];
  parts.go.className = name;
  parts.reasons.replaceChildren(...data.reasons.map((reason, index) => reasonButton(reason, index)));
  parts.shade.hidden = false;
  (asks ? parts.reasons.firstChild : parts.go).focus();
}


function reasonButton(reason, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.reason = reason;
  button.setAttribute("aria-pressed", "false");
  const key = document.createElement("kbd");
  key.textContent = String(index + 1);
  button.append(key, ` ${reason}`);
  return button;
}

function toggleReason(view, reason) {
  const { reasons } = view.asking;
  if (!reasons.delete(reason)) reasons.add(reason);
  for (const button of view.parts.reasons.children) button.setAttribute("aria-pressed", String(reasons.has(button.dataset.reason)));
}

function answer(view) {
  const { name, reasons } = view.asking;
  const note = view.parts.note.value.trim();
  const asks = name === "reject" || name === "retake";
  if (asks && !reasons.size && !note) return void (view.parts.wrong.textContent = "Choose a reason, or write a note.");
  closeAsk(view);
  sendAct(view, { name, reasons: [...reasons], note });
}

function closeAsk(view) {
  view.asking = null;
  view.parts.shade.hidden = true;
  view.parts.list.focus({ preventScroll: true });
}

function sendAct(view, { name, reasons = [], note = "" }) {
  view.busy = true;
  showBar(view);
  view.trigger("act", { order: view.data.order, name, ranges: rangesIn(view.chosen), reasons, note, at: Date.now() });
}

/** Keys while the panel is open; true when the key was meant for it. */
function askKey(view, event) {
  if (!view.asking) return false;
  const at = event.composedPath()[0];
  const writes = at instanceof HTMLTextAreaElement;
  const digit = Number(/^(?:Digit|Numpad)([1-9])$/.exec(event.code || "")?.[1] || 0);
  if (event.key === "Escape") closeAsk(view);
  else if (event.key === "Tab") stayInside(view, event.shiftKey ? -1 : 1);
  else if (event.key === "Enter" && !event.shiftKey && !(at instanceof HTMLButtonElement && at.dataset.act === "cancel")) answer(view);
  else if (!writes && digit && !view.parts.why.hidden && view.data.reasons[digit - 1]) toggleReason(view, view.data.reasons[digit - 1]);
  else return true;
  event.preventDefault();
  return true;
}

function stayInside(view, step) {
  const all = [...view.parts.ask.querySelectorAll("button, textarea")].filter((node) => node.offsetParent);
  all[(all.indexOf(view.shadow.activeElement) + step + all.length) % all.length].focus();
}
