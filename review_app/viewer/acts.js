// @ts-check
// What buttons, keys and pointers do. One function for all three, so that none can do what another cannot.

function act(view, name, event) {
  const item = onScreen(view.deck);
  const done = item && view.deck.done.get(item.id);
  const deciding = ["approve", "reject", "retake", "promote"].includes(name);
  if (deciding && item && (done || item.standing)) {
    const verdict = done?.verdict || item.standing;
    const who = done ? "Press U to take your decision back first." : `${item.standing_by} decided it.`;
    return notice(view, { title: `${VERDICT_WORD[verdict]} already:`, text: who });
  }
  if (deciding && !view.data.may_decide) {
    return notice(view, { title: "Only looking:", text: "your role does not decide.", kind: "bad" });
  }
  const acts = {
    approve: () => decide(view, "approve"),
    promote: () => item.promotes && decide(view, "approve", { changes: { tier: "final" } }),
    reject: () => (grounded(view, item) ? decide(view, "reject", { reasons: [] }) : ask(view, "reject")),
    retake: () => ask(view, "retake"),
    skip: () => (skip(view.deck), show(view), flush(view.outbox)),
    next: () => move(view, 1),
    prev: () => move(view, -1),
    zoom: () => zoomTo(view, view.look.zoom ? 0 : 1),
    boxes: () => toggleBoxes(view),
    ground: () => changeGround(view),
    blink: () => item.beside.length && compare(view, event?.type === "click" && view.look.mode === "blink" ? "" : "blink"),
    wipe: () => compare(view, view.look.mode === "wipe" ? "" : "wipe"),
    difference: () => compare(view, view.look.mode === "difference" ? "" : "difference"),
    note: () => view.parts.note.focus(),
    undo: () => undo(view),
    link: () => copyAddress(view),
    help: () => (open(view, "help"), view.parts.help.querySelector("button").focus()),
    grid: () => showGrid(view),
    cancel: () => close(view),
    takeover: () => ((view.over = Date.now()), (view.missing = 1), show(view), flush(view.outbox)),
  };
  if (item || ["undo", "help", "grid", "cancel", "prev", "takeover", "link"].includes(name)) acts[name]?.();
}

function grounded(view, item) {
  const draft = draftOf(view.deck, item.id);
  return Object.values(draft.marks).includes("bad") || draft.regions.length > 0 || draft.note.trim() !== "";
}

function move(view, step) {
  const to = Math.max(0, Math.min(view.deck.order.length - 1, view.deck.at + step));
  if (to === view.deck.at) return;
  view.deck.at = to;
  show(view);
  if (view.deck.order.length - to < 6) flush(view.outbox);
}

/** What lies behind transparent places: a checker, dark, light. */
function changeGround(view) {
  if (!onScreen(view.deck)?.cut) return;
  view.ground = { checker: "dark", dark: "light", light: "checker" }[view.ground];
  view.parts.stage.dataset.ground = view.ground;
  say(view, `Ground: ${view.ground}`);
}

function toggleBoxes(view) {
  view.boxesShown = !view.boxesShown;
  view.root.querySelector("[data-act=boxes]").setAttribute("aria-pressed", String(view.boxesShown));
  drawBoxes(view);
}

function showGrid(view) {
  view.parts.tiles.replaceChildren(...view.deck.order.map((id) => tile(view, id)));
  open(view, "grid");
  (view.parts.tiles.querySelector("[aria-current]") || view.parts.grid.querySelector("button")).focus();
}

function onClick(view, event) {
  if (event.target === view.parts.shade) return close(view);
  const button = event.target.closest("button");
  if (!button || !view.root.contains(button)) return;
  const { act: name, mark, go, drop, reason, way, beside } = button.dataset;
  if (name === "dismiss") button.parentElement.remove();
  else if (name && name !== "blink") act(view, name, event);
  else if (name === "blink" && event.detail === 0) act(view, name, event);
  else if (mark) cycleMark(view, mark);
  else if (go) {
    if (view.dialog) close(view);
    if (bringBack(view.deck, go)) show(view);
  } else if (drop) {
    draftOf(view.deck, onScreen(view.deck).id).regions.splice(Number(drop), 1);
    refresh(view);
    drawBoxes(view);
  } else if (reason) toggleReason(view, reason);
  else if (way) chooseWay(view, way);
  else if (beside) {
    view.beside = Number(beside);
    showBeside(view, onScreen(view.deck));
    compare(view, view.look.mode || (event.detail ? "blink" : ""));
    if (view.look.mode === "blink") setTimeout(() => view.look.mode === "blink" && compare(view, ""), 900);
  }
  // a mouse leaves no focus behind, so that Space and Enter do not press the last button again
  if (event.detail > 0 && !view.dialog && !reason && !way) view.parts.stage.focus({ preventScroll: true });
}

function onChange(view, event) {
  const name = event.target.dataset.filter;
  if (!name) return;
  view.filter = { ...view.filter, [name]: event.target.value };
  if (name === "project") view.filter.asset = "";
  const kept = new Set(view.outbox.waiting.map((one) => one.image));
  view.deck.order = view.deck.order.filter((id) => view.deck.done.has(id) || kept.has(id));
  view.deck.at = view.deck.order.length;
  view.missing = 1;
  addressOfFilter(view);
  view.parts.stage.focus();
  show(view);
  flush(view.outbox);
}

/** Dragging draws a region, or moves the picture when it is larger than its room (Shift draws then). */
function onPointers(view, on) {
  const { stage, canvas } = view.parts;
  let drag = null;
  const fraction = (event) => {
    const edge = canvas.getBoundingClientRect();
    const clamp = (part) => Math.min(1, Math.max(0, part));
    return { x: clamp((event.clientX - edge.left) / edge.width), y: clamp((event.clientY - edge.top) / edge.height) };
  };
  stage.addEventListener("pointerdown", (event) => {
    const item = onScreen(view.deck);
    if (!item || event.button !== 0 || event.target.closest("button")) return;
    const pans = stage.classList.contains("pans") && !event.shiftKey;
    if (!pans && (view.deck.done.has(item.id) || !canvas.contains(event.target))) return;
    drag = { pans, from: fraction(event), last: [event.clientX, event.clientY], frame: null };
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    stage.focus({ preventScroll: true });
  }, on);
  stage.addEventListener("pointermove", (event) => {
    if (view.look.mode === "wipe" && !drag) {
      view.look.split = fraction(event).x;
      compare(view, "wipe");
    }
    if (!drag) return;
    if (drag.pans) {
      view.look.x += event.clientX - drag.last[0];
      view.look.y += event.clientY - drag.last[1];
      drag.last = [event.clientX, event.clientY];
      return layout(view);
    }
    drag.to = fraction(event);
    drag.frame?.remove();
    drag.frame = box(between(drag.from, drag.to), "mine", "");
    view.parts.boxes.append(drag.frame);
  }, on);
  const stop = () => {
    const item = onScreen(view.deck);
    const region = drag && !drag.pans && drag.to ? between(drag.from, drag.to) : null;
    drag?.frame?.remove();
    drag = null;
    if (!region || !item || region.width < 0.01 || region.height < 0.01) return;
    const draft = draftOf(view.deck, item.id);
    const criterion = draft.active || item.criteria[0] || null;
    draft.regions.push({ ...region, criterion });
    if (criterion && item.criteria.includes(criterion)) draft.marks[criterion] = "bad";
    refresh(view);
    drawBoxes(view);
    say(view, `Region for ${criterion || "this image"}`);
  };
  stage.addEventListener("pointerup", stop, on);
  stage.addEventListener("pointercancel", () => (drag?.frame?.remove(), (drag = null)), on);
  stage.addEventListener("wheel", (event) => {
    if (!onScreen(view.deck)) return;
    event.preventDefault();
    const wanted = zoomNow(view) * (event.deltaY < 0 ? 1.25 : 0.8);
    zoomTo(view, wanted < 0.1 ? 0 : Math.min(8, wanted), { x: event.clientX, y: event.clientY });
  }, { ...on, passive: false });
  const hold = view.root.querySelector("[data-act=blink]");
  hold.addEventListener("pointerdown", () => compare(view, "blink"), on);
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) hold.addEventListener(end, () => view.look.mode === "blink" && compare(view, ""), on);
}

function between(a, b) {
  const round = (part) => Math.round(part * 10_000) / 10_000;
  const [x, y] = [round(Math.min(a.x, b.x)), round(Math.min(a.y, b.y))];
  return { x, y, width: round(Math.min(1 - x, Math.abs(a.x - b.x))), height: round(Math.min(1 - y, Math.abs(a.y - b.y))) };
}
