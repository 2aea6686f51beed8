// @ts-check
// Five hints on somebody's first visit, one after the other in a line above the image. Doing what a hint speaks of
// brings the next one. Nothing is covered and no key is taken; the browser remembers how far each person has come.

const HINTS = [
  { at: ".acts", acts: ["approve", "reject", "retake"], decides: true, says: [["A"], " approves, ", ["X"], " rejects with a reason, ", ["T"], " sends back with what tonight should do differently."] },
  { at: "[data-part=marks]", acts: ["mark"], decides: true, says: ["The number of a criterion says what is wrong: once for bad, twice for ok. The checks only point; you decide."] },
  { at: "[data-part=stage]", acts: ["zoom", "closer", "drawn"], says: [["Z"], " and the wheel look closer. A drag marks a place, which goes with your decision; ", ["M"], " chooses box, brush or arrow."] },
  { at: "[data-act=undo]", acts: ["undo"], decides: true, says: [["U"], " takes your decision back, up to your last 50."] },
  { at: "[data-act=help]", acts: ["help"], says: [["?"], " finds every key, command and page by its name."] },
];
const HINTS_KEY = "dailies-hints:";

function listHints(view) {
  return HINTS.filter((hint) => view.data.may_decide || !hint.decides);
}

/** Begins where this person left off. Without storage there are no hints: they would come with every visit. */
function beginHints(view) {
  try {
    view.hint = Number(localStorage.getItem(HINTS_KEY + view.data.reviewer) || 0);
  } catch {
    view.hint = HINTS.length;
  }
}

function goToHint(view, number) {
  view.hint = number;
  try {
    localStorage.setItem(HINTS_KEY + view.data.reviewer, String(number));
  } catch {
    // told in this page only
  }
  showHint(view);
}

/** An act was done; where the hint on screen is about it, the next one comes. */
function doneAct(view, name) {
  if (listHints(view)[view.hint]?.acts.includes(name)) goToHint(view, view.hint + 1);
}

function endHints(view) {
  goToHint(view, HINTS.length);
  view.parts.stage.focus({ preventScroll: true });
}

/** With each image: the line is there while something is on screen and there is more to say. */
function keepHint(view) {
  if (view.hint === undefined) beginHints(view);
  const wanted = Boolean(onScreen(view.deck) && listHints(view)[view.hint]);
  if (wanted === view.parts.hint.hidden) showHint(view);
}

function showHint(view) {
  const all = listHints(view);
  const hint = onScreen(view.deck) && all[view.hint];
  for (const node of view.root.querySelectorAll(".hinted")) node.classList.remove("hinted");
  view.parts.hint.hidden = !hint;
  if (!hint) return view.parts.hint.replaceChildren();
  view.root.querySelector(hint.at).classList.add("hinted");
  const words = hint.says.map((part) => (typeof part === "string" ? part : make("kbd", { text: part[0] })));
  const last = view.hint === all.length - 1;
  view.parts.hint.replaceChildren(
    make("b", { text: `${view.hint + 1} of ${all.length}` }),
    make("span", {}, ...words),
    make("button", { type: "button", cls: "small", "data-act": "hint", text: last ? "Done" : "Next hint" }),
    ...(last ? [] : [make("button", { type: "button", cls: "quiet small", "data-act": "nohints", text: "No hints" })]),
  );
}
