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
    zoom: () => zoomTo(view, view.look.zoom ? 0 : event?.shiftKey ? 2 : 1),
    fit: () => zoomTo(view, 0),
    closer: () => zoomBy(view, 1.25),
    farther: () => zoomBy(view, 0.8),
    tiles: () => toggleTiles(view),
    lit: () => toggleLit(view, event),
    looking: () => toggleLooking(view),
    backdrop: () => cycleLook(view, "backdrop"),
    channel: () => cycleLook(view, "channel"),
    plain: () => resetTone(view),
    off: () => markOff(view),
    inspect: () => toggleInspect(view),
    panes: () => cyclePanes(view),
    draw: () => cycleTool(view),
    thinner: () => thicken(view, 0.8),
    thicker: () => thicken(view, 1.25),
    overlay: () => compare(view, view.look.mode === "overlay" ? "" : "overlay"),
    boxes: () => toggleBoxes(view),
    blink: () => item.beside.length && compare(view, event?.type === "click" && view.look.mode === "blink" ? "" : "blink"),
    wipe: () => compare(view, view.look.mode === "wipe" ? "" : "wipe"),
    difference: () => compare(view, view.look.mode === "difference" ? "" : "difference"),
    note: () => view.parts.note.focus(),
    comment: () => writeComment(view),
    fewer: () => moreStars(view, -1),
    more: () => moreStars(view, 1),
    colour: () => nextColour(view),
    send: () => sendComment(view, item),
    undo: () => undo(view),
    link: () => copyAddress(view),
    help: () => openPalette(view),
    grid: () => showGrid(view),
    cancel: () => close(view),
    hint: () => goToHint(view, view.hint + 1),
    nohints: () => endHints(view),
    hints: () => goToHint(view, 0),
    takeover: () => ((view.over = Date.now()), (view.missing = 1), show(view), flush(view.outbox)),
  };
  if (!item && !["undo", "help", "grid", "cancel", "prev", "takeover", "link"].includes(name)) return;
  acts[name]?.();
  doneAct(view, name);
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
  const { act: name, mark, go, drop, reason, way, beside, pane, colour, closer, name: person, unfold, stars, dot } = button.dataset;
  if (button.dataset.command) return runCommand(view, Number(button.dataset.command), event);
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
  } else if (pane) choosePane(view, Number(pane));
  else if (colour) markColour(view, colour);
  else if (closer) lookCloser(view, JSON.parse(closer));
  else if (person) return completeName(view, person);
  else if (stars) pressStar(view, Number(stars));
  else if (dot) pressDot(view, dot);
  else if (unfold) unfoldComment(view, unfold);
  else if (reason) toggleReason(view, reason);
  else if (way) chooseWay(view, way);
  else if (beside) {
    view.beside = Number(beside);
    showBeside(view, onScreen(view.deck));
    compare(view, view.look.mode || (event.detail ? "blink" : ""));
    if (view.look.mode === "blink") setTimeout(() => view.look.mode === "blink" && compare(view, ""), 900);
  }
  // a mouse leaves no focus behind, so that Space and Enter do not press the last button again
  if (event.detail > 0 && !view.dialog && !reason && !way && name !== "comment") view.parts.stage.focus({ preventScroll: true });
}

function onChange(view, event) {
  if (event.target === view.parts.thickness) return void (view.thickness = Number(event.target.value));
  if (event.target.dataset.look) return onLook(view, event.target);
  const { filter: name, named } = event.target.dataset;
  if (!name && !named) return;
  if (named) view.filter = { ...view.data.saved[Number(event.target.value || -1)]?.query };
  else view.filter = { ...view.filter, [name]: event.target.value };
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
