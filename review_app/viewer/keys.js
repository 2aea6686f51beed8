// @ts-check
// Keys. R and C stay Streamlit's. Nothing fires while somebody types, under a dialog, or with Ctrl, Alt or Command.

const KEYS = [
  ["a", "approve", "A", "Approve"],
  ["x", "reject", "X", "Reject, with a reason"],
  ["t", "retake", "T", "Send back: made again tonight"],
  ["p", "promote", "P", "Approve a draft and make its final"],
  ["s", "skip", "S", "Later: behind the others"],
  ["u", "undo", "U", "Take a decision back: on this image, or your last 50"],
  ["1", "", "1 – 9", "Criterion: once for bad, twice for ok"],
  ["n", "note", "N", "Write a note; Esc leaves it"],
  ["y", "comment", "Y", "Comment, for everybody who sees the image or its next take; @name tells somebody"],
  [",", "fewer", ", .", "A star fewer, a star more: for what is neither yes nor no yet"],
  [".", "more", "", ""],
  [";", "colour", ";", "The next colour: red, yellow, green, blue, purple, none"],
  ["arrowright", "next", "→", "Next, leaving this one undecided"],
  ["arrowleft", "prev", "←", "Back"],
  [" ", "blink", "Space", "Hold: see what it was made from"],
  ["w", "wipe", "W", "Wipe between the two; move the pointer"],
  ["d", "difference", "D", "Difference of the two"],
  ["o", "overlay", "O", "The other's edges over the image"],
  ["q", "panes", "Q", "Two side by side, then four: also its siblings; thumbnails choose"],
  ["z", "zoom", "Z", "100 % and back, Shift: 200 %; the wheel zooms, dragging moves"],
  ["f", "fit", "F", "The whole picture; zoom and place stay from image to image otherwise"],
  ["+", "closer", "+ −", "Closer, farther"],
  ["-", "farther", "", ""],
  ["", "tiles", "⇧ 3", "Three by three: does a texture meet itself"],
  ["", "lit", "0", "A texture on a sphere or a plane, under a light; there the arrow keys turn the light"],
  ["v", "looking", "V", "Background, channels, exposure, gamma"],
  ["k", "backdrop", "K", "Next background: checker, black, grey, white, the game's own"],
  ["j", "channel", "J", "Next channel: red, green, blue, alpha, luminance"],
  ["i", "inspect", "I", "Pixel values under the pointer, and the histogram"],
  ["e", "off", "E", "What is off the manifest's palette"],
  ["m", "draw", "M", "Draw with the next drag: a box, a brush, an arrow, none"],
  ["[", "thinner", "[ ]", "Brush thinner, thicker"],
  ["]", "thicker", "", ""],
  ["b", "boxes", "B", "Boxes of the findings on or off"],
  ["g", "grid", "G", "Images in hand, side by side"],
  ["l", "link", "L", "Copy a link to this image under this filter"],
  ["h", "help", "H ?", "This list; type in it to find a command by name"],
  ["?", "help", "", ""],
  ["", "hints", "", "Show the five hints of the first visit again"],
  ["", "", "drag", "Marks a place (touch: a long press); it goes with the criterion marked last"],
];
const ACT_OF = Object.fromEntries(KEYS.filter(([key, act]) => key && act).map(([key, act]) => [key, act]));
const HELD = new Set(["next", "prev", "closer", "farther", "thinner", "thicker"]); // may repeat while the key is down

/** 1 to 9 from the digit row or the number pad, whatever the layout puts there (AZERTY has letters); else 0. */
function digitOf(event) {
  const placed = /^(?:Digit|Numpad)([1-9])$/.exec(event.code || "");
  return Number(placed?.[1] || (/^[1-9]$/.test(event.key) ? event.key : 0));
}

function isZero(event) {
  return event.code ? /^(?:Digit|Numpad)0$/.test(event.code) : event.key === "0";
}

/** The act of the key's place, where the layout has another script's letter on it (Cyrillic, Greek, Hebrew). Dvorak
 * has punctuation on some of these places; that does nothing. */
function actAt(event) {
  const placed = /^Key([A-Z])$/.exec(event.code || "");
  return placed && /^\p{L}$/u.test(event.key) && !/^\p{Script=Latin}$/u.test(event.key) ? ACT_OF[placed[1].toLowerCase()] : undefined;
}

function typing(event) {
  const at = event.composedPath()[0];
  return at instanceof Element && Boolean(at.closest("input, textarea, select, [contenteditable]"));
}

function onKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("[data-testid=stDialog]")) return;
  const key = event.key.toLowerCase();
  if (view.dialog) return dialogKey(view, event, key);
  if (typing(event)) {
    if (key === "escape") view.parts.stage.focus();
    return;
  }
  const button = event.composedPath()[0];
  const pressed = button instanceof HTMLButtonElement && view.root.contains(button);
  if (pressed && (key === " " || key === "enter")) return; // a focused button is pressed, as everywhere
  if (litKey(view, event, key)) return;
  const digit = digitOf(event);
  const name = ACT_OF[key] || actAt(event);
  if (isZero(event) && !event.repeat) act(view, "lit", event);
  else if (digit === 3 && event.shiftKey) act(view, "tiles", event);
  else if (digit) {
    cycleMark(view, onScreen(view.deck)?.criteria[digit - 1]);
  } else if (name) {
    if (event.repeat && !HELD.has(name)) return event.preventDefault();
    act(view, name, event);
  } else if (key === "escape") {
    setDrawing(view, "");
    if (view.look.panes) cyclePanes(Object.assign(view, { look: { ...view.look, panes: 4 } }));
    if (view.look.tiles) toggleTiles(view);
    if (view.look.lit) toggleLit(view);
    if (view.look.zoom) zoomTo(view, 0);
    compare(view, "");
    return;
  } else return;
  event.preventDefault();
}

function dialogKey(view, event, key) {
  if (key === "escape" || (view.dialog === "help" && "h?".includes(key) && !typing(event)) || (view.dialog === "grid" && key === "g" && !typing(event))) {
    event.preventDefault();
    return close(view);
  }
  if (key === "tab") return keepInside(view, event);
  if (view.dialog === "help") return paletteKey(view, event, key);
  if (typing(event) || view.dialog !== "ask") return;
  const at = event.composedPath()[0];
  const digit = digitOf(event);
  if (digit && view.data.reasons[digit - 1]) {
    event.preventDefault();
    toggleReason(view, view.data.reasons[digit - 1]);
  } else if (key === "enter" && !event.repeat && at.dataset?.act !== "cancel") {
    event.preventDefault();
    answer(view);
  }
}

/** Focus stays in the dialog while it is open. */
function keepInside(view, event) {
  const all = [...view.parts[view.dialog].querySelectorAll("button, input, textarea, select")];
  const reachable = all.filter((node) => node.offsetParent !== null && !node.disabled);
  const at = reachable.indexOf(view.shadow.activeElement);
  const next = (at + (event.shiftKey ? -1 : 1) + reachable.length) % reachable.length;
  event.preventDefault();
  reachable[next]?.focus();
}

function onKeyUp(view, event) {
  if (event.key === " " && view.look.mode === "blink") compare(view, "");
}
