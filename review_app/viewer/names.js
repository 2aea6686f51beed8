// @ts-check
// Completing a name after an @ in the comment: the names that begin so stand below the field.

const MOST_NAMES = 5;

const NAMES_MS = 60_000; // names are asked for again when they are that old

/** The names come when somebody begins to write. */
function askForNames(view) {
  showSending(view);
  if (view.lacksNames || performance.now() - (view.namesAt ?? -Infinity) < NAMES_MS) return;
  view.lacksNames = true;
  flush(view.outbox);
}

function takeNames(view, people) {
  Object.assign(view, { people, lacksNames: false, namesAt: performance.now() });
  if (view.shadow.activeElement === view.parts.comment) suggestNames(view);
}

/** What stands between the last @ before the caret and the caret; null when no name is being written there. */
function begunName(field) {
  const before = field.value.slice(0, field.selectionStart);
  const found = /(?:^|[^\p{L}\p{N}_.@])@([^@\n]{0,40})$/u.exec(before);
  return found ? found[1] : null;
}

function suggestNames(view) {
  const { names, comment } = view.parts;
  const begun = begunName(comment)?.toLowerCase();
  const fits = (name) => name.toLowerCase().startsWith(begun) || name.toLowerCase().split(/[\s@]+/).some((part) => part.startsWith(begun));
  const people = begun === undefined || !view.people ? [] : view.people.filter((name) => fits(name) && name.toLowerCase() !== begun && name !== view.data.reviewer);
  names.replaceChildren(...people.slice(0, MOST_NAMES).map((name, index) => {
    const button = make("button", { type: "button", cls: "small", "data-name": name, text: name, dir: "auto" });
    if (index === 0) button.append(" ", make("kbd", { text: "Tab" }));
    return button;
  }));
  if (names.hidden !== !people.length) (names.hidden = !people.length), revealField(view);
  if (people.length) say(view, `${people.slice(0, MOST_NAMES).join(", ")}. Tab takes the first.`);
}

/** Puts the name where it was begun. */
function completeName(view, name) {
  const { comment, names } = view.parts;
  const caret = comment.selectionStart;
  const start = caret - (begunName(comment) ?? "").length;
  comment.setRangeText(`${name} `, start, caret, "end");
  names.hidden = true;
  comment.focus();
  keepComment(view);
}

/** True when the key was about the names. Tab takes the first; Escape puts them away. */
function nameKey(view, event) {
  if (view.parts.names.hidden) return false;
  if (event.key === "Tab" && !event.shiftKey) completeName(view, view.parts.names.firstChild.dataset.name);
  else if (event.key === "Escape") view.parts.names.hidden = true;
  else return false;
  event.preventDefault();
  event.stopPropagation();
  return true;
}
