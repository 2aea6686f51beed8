// @ts-check
// Mouse, pen and fingers on the stage. A mouse draws a box or with the chosen tool, or moves a picture that is larger than
// its room (Shift draws then). One finger scrolls the page as everywhere; two zoom and move; a long press or the region
// tool draws.

const LONG_MS = 450;
const STILL = 10; // CSS px within which a finger that rests counts as resting

function onPointers(view, on) {
  const { stage, canvas } = view.parts;
  let drag = null;
  const mayDraw = () => {
    const item = onScreen(view.deck);
    return item && !view.deck.done.has(item.id) && !view.look.tiles && !view.look.panes && !isLit(view);
  };
  stage.addEventListener("pointerdown", (event) => {
    if (!onScreen(view.deck) || event.button !== 0 || event.pointerType === "touch" || event.target.closest("button")) return;
    const pans = stage.classList.contains("pans") && !event.shiftKey && !view.draws;
    if (!pans && (!mayDraw() || !canvas.contains(event.target))) return;
    drag = { ...newDrag(view, event), pans, last: [event.clientX, event.clientY] };
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
    drag = newDrag(view, touch);
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

function newDrag(view, point) {
  return { tool: view.draws || "box", thickness: view.thickness, points: [fractionAt(view, point)], pans: false, frame: null };
}

/** What is being drawn, as far as it is. */
function stretch(view, drag, point) {
  const item = onScreen(view.deck);
  drag.points.push(fractionAt(view, point));
  drag.frame?.remove();
  const drawn = drawingOf(drag, item.width / item.height);
  drag.frame = drawn && marking(drawn, "mine", "", item);
  if (drag.frame) view.parts.boxes.append(drag.frame);
}

function finish(view, drag) {
  const item = onScreen(view.deck);
  drag?.frame?.remove();
  if (!item || !drag || drag.pans || (drag.points.length < 2 && drag.tool !== "brush")) return;
  const ratio = item.width / item.height;
  const region = drawingOf(drag, ratio);
  if (!region) return;
  const draft = draftOf(view.deck, item.id);
  const criterion = draft.active || item.criteria[0] || null;
  const drawn = { ...region, criterion, label: "" };
  const whole = joined(draft.regions[draft.regions.length - 1], drawn, ratio);
  if (whole) draft.regions[draft.regions.length - 1] = whole;
  else draft.regions.push(drawn);
  doneAct(view, "drawn");
  if (criterion && item.criteria.includes(criterion)) draft.marks[criterion] = "bad";
  if (drag.tool !== "brush") setDrawing(view, ""); // a brush is lifted and put down again
  refresh(view);
  drawBoxes(view);
  say(view, `Region for ${criterion || "this image"}`);
}

/** Box, brush, arrow, none: what the next drag draws, with one finger and on an enlarged picture too. */
function cycleTool(view) {
  setDrawing(view, nextTool(view.draws));
}

function setDrawing(view, tool) {
  view.draws = tool;
  view.parts.stage.classList.toggle("draws", Boolean(tool));
  view.parts.tool.textContent = TOOL_WORD[tool];
  view.root.querySelector("[data-act=draw]").setAttribute("aria-pressed", String(Boolean(tool)));
  view.parts.thickness.parentElement.hidden = tool !== "brush";
}

/** @param {number} times */
function thicken(view, times) {
  view.thickness = Math.min(0.3, Math.max(0.01, Math.round(view.thickness * times * 1000) / 1000));
  view.parts.thickness.value = String(view.thickness);
  setDrawing(view, "brush");
}
