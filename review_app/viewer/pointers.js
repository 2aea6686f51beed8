// @ts-check
// Mouse, pen and fingers on the stage. A mouse draws a region, or moves a picture that is larger than its room (Shift
// draws then). One finger scrolls the page as everywhere; two zoom and move; a long press or the region tool draws.

const LONG_MS = 450;
const STILL = 10; // CSS px within which a finger that rests counts as resting

function onPointers(view, on) {
  const { stage, canvas } = view.parts;
  let drag = null;
  const mayDraw = () => {
    const item = onScreen(view.deck);
    return item && !view.deck.done.has(item.id) && !view.look.tiles && !view.look.panes;
  };
  stage.addEventListener("pointerdown", (event) => {
    if (!onScreen(view.deck) || event.button !== 0 || event.pointerType === "touch" || event.target.closest("button")) return;
    const pans = stage.classList.contains("pans") && !event.shiftKey && !view.draws;
    if (!pans && (!mayDraw() || !canvas.contains(event.target))) return;
    drag = { pans, from: fractionAt(view, event), last: [event.clientX, event.clientY], frame: null };
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    stage.focus({ preventScroll: true });
  }, on);
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    readPixel(view, event);
    if (view.look.mode === "wipe" && !drag) wipeTo(view, event);
    if (!drag) return;
    if (!drag.pans) return stretch(view, drag, event);
    moveBy(view, event.clientX - drag.last[0], event.clientY - drag.last[1]);
    drag.last = [event.clientX, event.clientY];
  }, on);
  stage.addEventListener("pointerleave", () => readPixel(view, null), on);
  stage.addEventListener("pointerup", () => (finish(view, drag), (drag = null)), on);
  stage.addEventListener("pointercancel", () => (drag?.frame?.remove(), (drag = null)), on);
  stage.addEventListener("wheel", (event) => {
    if (!onScreen(view.deck)) return;
    event.preventDefault();
    zoomBy(view, event.deltaY < 0 ? 1.25 : 0.8, { x: event.clientX, y: event.clientY });
  }, { ...on, passive: false });
  onTouches(view, on, mayDraw);
  const hold = view.root.querySelector("[data-act=blink]");
  hold.addEventListener("pointerdown", () => compare(view, "blink"), on);
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) hold.addEventListener(end, () => view.look.mode === "blink" && compare(view, ""), on);
}

/** Touch events and not pointer events: only they can be taken from the browser's own scrolling finger by finger. */
function onTouches(view, on, mayDraw) {
  const { stage, canvas } = view.parts;
  const active = { ...on, passive: false };
  let pinch = null;
  let drag = null;
  let timer = 0;
  const begin = (touch) => {
    drag = { from: fractionAt(view, touch), frame: null };
    stretch(view, drag, touch);
    navigator.vibrate?.(15);
  };
  stage.addEventListener("touchstart", (event) => {
    clearTimeout(timer);
    if (!onScreen(view.deck) || event.target.closest("button")) return;
    if (event.touches.length === 2) {
      drag?.frame?.remove();
      drag = null;
      pinch = spread(event.touches);
      return event.preventDefault();
    }
    const [touch] = event.touches;
    if (event.touches.length !== 1 || !mayDraw() || !canvas.contains(event.target)) return;
    if (view.draws) {
      begin(touch);
      return event.preventDefault();
    }
    const from = [touch.clientX, touch.clientY];
    stage.dataset.pressed = from.join(" ");
    timer = setTimeout(() => begin(touch), LONG_MS);
  }, active);
  stage.addEventListener("touchmove", (event) => {
    const [touch] = event.touches;
    if (pinch && event.touches.length === 2) {
      event.preventDefault();
      const now = spread(event.touches);
      zoomBy(view, now.distance / pinch.distance, { x: now.x, y: now.y });
      moveBy(view, now.x - pinch.x, now.y - pinch.y);
      pinch = now;
    } else if (drag) {
      event.preventDefault();
      stretch(view, drag, touch);
    } else if (view.look.mode === "wipe") {
      event.preventDefault();
      wipeTo(view, touch);
    } else {
      const [x, y] = (stage.dataset.pressed || "0 0").split(" ").map(Number);
      if (Math.hypot(touch.clientX - x, touch.clientY - y) > STILL) clearTimeout(timer);
    }
  }, active);
  const end = (event) => {
    clearTimeout(timer);
    if (event.touches.length < 2) pinch = null;
    if (!drag || event.touches.length) return;
    if (event.type === "touchend") finish(view, drag);
    else drag.frame?.remove();
    drag = null;
  };
  stage.addEventListener("touchend", end, on);
  stage.addEventListener("touchcancel", end, on);
  stage.addEventListener("contextmenu", (event) => drag && event.preventDefault(), on);
}

/** Distance and middle of two fingers. */
function spread(touches) {
  const [one, two] = touches;
  const distance = Math.max(1, Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY));
  return { distance, x: (one.clientX + two.clientX) / 2, y: (one.clientY + two.clientY) / 2 };
}

/** Where a pointer is, as fractions of the image. */
function fractionAt(view, point) {
  const edge = view.parts.canvas.getBoundingClientRect();
  const clamp = (part) => Math.min(1, Math.max(0, part));
  return { x: clamp((point.clientX - edge.left) / edge.width), y: clamp((point.clientY - edge.top) / edge.height) };
}

function moveBy(view, x, y) {
  view.look.x += x;
  view.look.y += y;
  layout(view);
}

function wipeTo(view, point) {
  view.look.split = fractionAt(view, point).x;
  compare(view, "wipe");
}

/** The frame of a region that is being drawn. */
function stretch(view, drag, point) {
  drag.to = fractionAt(view, point);
  drag.frame?.remove();
  drag.frame = box(between(drag.from, drag.to), "mine", "");
  view.parts.boxes.append(drag.frame);
}

function finish(view, drag) {
  const item = onScreen(view.deck);
  const region = drag && !drag.pans && drag.to ? between(drag.from, drag.to) : null;
  drag?.frame?.remove();
  if (!region || !item || region.width < 0.01 || region.height < 0.01) return;
  const draft = draftOf(view.deck, item.id);
  const criterion = draft.active || item.criteria[0] || null;
  draft.regions.push({ ...region, criterion });
  if (criterion && item.criteria.includes(criterion)) draft.marks[criterion] = "bad";
  setDrawing(view, false);
  refresh(view);
  drawBoxes(view);
  say(view, `Region for ${criterion || "this image"}`);
}

function between(a, b) {
  const round = (part) => Math.round(part * 10_000) / 10_000;
  const [x, y] = [round(Math.min(a.x, b.x)), round(Math.min(a.y, b.y))];
  return { x, y, width: round(Math.min(1 - x, Math.abs(a.x - b.x))), height: round(Math.min(1 - y, Math.abs(a.y - b.y))) };
}

function toggleDrawing(view) {
  setDrawing(view, !view.draws);
}

/** The region tool: the next drag draws, with one finger and on an enlarged picture too. */
function setDrawing(view, draws) {
  view.draws = draws;
  view.parts.stage.classList.toggle("draws", draws);
  view.root.querySelector("[data-act=draw]").setAttribute("aria-pressed", String(draws));
}
