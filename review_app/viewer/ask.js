// The two panels that ask: why an image is rejected, and what tonight should do differently.

const REASON_OF = { hands: "hands wrong", text: "unwanted text", brand: "off brand", composition: "composition", technical: "artefact" };
const WAYS = {
  seed: { label: "New seed", hint: "Everything stays as it is; only the seed is new." },
  change: { label: "Change what is asked", hint: "Change what you like; what you leave stays as it was." },
  region: { label: "Repair one place", hint: "Only inside the region is painted again; the rest stays." },
};
const FIELDS = {
  change: ["prompt", "negative_prompt", "strength", "controlnet_conditioning_scale", "guidance_scale", "reference_scale", "seamless", "keep_colour"],
  region: ["prompt", "negative_prompt", "strength"],
  seed: [],
};
const NUMBERS = ["strength", "controlnet_conditioning_scale", "guidance_scale", "reference_scale"];

function ask(view, verdict) {
  const item = onScreen(view.deck);
  const draft = draftOf(view.deck, item.id);
  const { parts } = view;
  const reasons = new Set(item.criteria.filter((name) => draft.marks[name] === "bad").map((name) => REASON_OF[name]));
  for (const region of draft.regions) if (REASON_OF[region.criterion]) reasons.add(REASON_OF[region.criterion]);
  view.asking = { verdict, id: item.id, reasons, way: "seed", touched: new Set() };
  parts["ask-title"].textContent = verdict === "reject" ? `Reject ${item.asset}?` : `Make ${item.asset} again tonight?`;
  parts["ask-go"].textContent = verdict === "reject" ? "Reject" : "Send back";
  parts["ask-go"].className = verdict;
  parts["ask-note"].value = draft.note;
  parts["ask-wrong"].textContent = "";
  parts.changes.hidden = verdict !== "retake";
  view.asking.way = suggestedWay(view, item);
  propose(view, item);
  open(view, "ask");
  showAsk(view);
  parts.reasons.querySelector("button").focus();
}

function repairable(view, item) {
  const mine = draftOf(view.deck, item.id).regions[0];
  if (mine) return mine;
  const wanted = [...view.asking.reasons];
  const finding = item.findings.find((one) => one.regions.length && wanted.includes(REASON_OF[one.check]));
  return finding ? { ...finding.regions[0], criterion: finding.check } : null;
}

/** The proposals of the reasons that were given, in the order in which the panel lists them. */
function proposals(view, item) {
  return view.data.reasons.filter((reason) => view.asking.reasons.has(reason)).map((reason) => item.retake.proposals[reason]);
}

function suggestedWay(view, item) {
  const ways = proposals(view, item).map((one) => one.way);
  if (repairable(view, item) && ways.includes("region")) return "region";
  return ways.includes("change") ? "change" : "seed";
}

/** Fills every field that the reviewer did not touch: as it was, and over that what the reasons propose. */
function propose(view, item) {
  const { asking, parts } = view;
  const filled = { ...item.retake };
  if (asking.way === "region") filled.strength = item.retake.repair.strength;
  for (const { way, changes } of proposals(view, item)) {
    if (way !== asking.way) continue;
    for (const [name, value] of Object.entries(changes)) {
      const before = item.retake[name] ?? "";
      const adds = typeof value === "string" && name !== "seamless" && value.startsWith(before);
      filled[name] = adds ? (filled[name] ?? "") + value.slice(before.length) : value;
    }
  }
  for (const field of parts.ask.querySelectorAll("[data-change]")) {
    const name = field.dataset.change;
    if (asking.touched.has(name)) continue;
    if (field.type === "checkbox") field.checked = Boolean(filled[name]);
    else field.value = filled[name] ?? "";
  }
}

function toggleReason(view, reason) {
  const { asking } = view;
  const item = view.deck.items.get(asking.id);
  if (!asking.reasons.delete(reason)) asking.reasons.add(reason);
  if (!asking.chosen) asking.way = suggestedWay(view, item);
  propose(view, item);
  showAsk(view);
}

function onAsked(view, event) {
  if (view.asking?.verdict !== "retake") return;
  view.asking.touched.add(event.target.dataset.change);
  showWays(view, view.deck.items.get(view.asking.id));
}

function chooseWay(view, way) {
  Object.assign(view.asking, { way, chosen: true });
  propose(view, view.deck.items.get(view.asking.id));
  showAsk(view);
}

function showAsk(view) {
  const { asking, parts } = view;
  const item = view.deck.items.get(asking.id);
  const focused = view.shadow.activeElement?.dataset;
  parts.reasons.replaceChildren(
    ...view.data.reasons.map((reason, index) =>
      make(
        "button",
        { type: "button", cls: "reason", "data-reason": reason, "aria-pressed": String(asking.reasons.has(reason)) },
        make("kbd", { text: String(index + 1) }),
        ` ${capital(reason)}`,
      ),
    ),
  );
  if (asking.verdict === "retake") showWays(view, item);
  const again = focused?.reason && [...parts.reasons.children].find((node) => node.dataset.reason === focused.reason);
  const way = focused?.way && [...parts.ways.children].find((node) => node.dataset.way === focused.way);
  (again || way)?.focus();
}

function showWays(view, item) {
  const { asking, parts } = view;
  const place = repairable(view, item);
  parts.ways.replaceChildren(
    ...Object.entries(WAYS).map(([way, { label }]) => {
      const button = make("button", { type: "button", cls: "way", "data-way": way, "aria-pressed": String(asking.way === way), text: label });
      if (way === "region" && !place) {
        button.disabled = true;
        button.title = "Close this, drag a box on the image, and press T again";
      }
      return button;
    }),
  );
  parts["way-hint"].textContent = WAYS[asking.way].hint;
  const shown = FIELDS[asking.way].filter((name) => item.retake[name] !== null || (asking.way === "region" && name === "strength"));
  for (const field of parts.ask.querySelectorAll("[data-for]")) field.hidden = !shown.includes(field.dataset.for);
  const changes = changesOf(view);
  const rows = [];
  const row = (name, text) => rows.push(make("dt", { text: name }), make("dd", { text }));
  row("seed", `${item.retake.old_seed} → ${item.retake.seed}`);
  for (const [name, value] of Object.entries(changes)) {
    if (name === "region") row("paints only", `${percent(value.width)} × ${percent(value.height)} at ${percent(value.x)}, ${percent(value.y)}`);
    else row(name.replaceAll("_", " "), `${item.retake[name] ?? "–"} → ${value}`);
  }
  row("take", `${item.take} → ${item.take + 1}${item.retake.left === null ? "" : `, ${item.retake.left} left`}`);
  parts.will.replaceChildren(...rows);
  showWhole(view, item, changes);
}

/** Every field of the child's spec as schemas.review.retaken will make it; what is new is marked. */
function showWhole(view, item, { region, reference_scale: shown, controlnet_conditioning_scale: held, ...plain }) {
  const { spec, seed, repair } = item.retake;
  const child = { ...spec, ...plain, seed, take: item.take + 1, parent: item.id };
  if (held !== undefined) child.controls = spec.controls?.map((one) => ({ ...one, controlnet_conditioning_scale: held }));
  if (shown !== undefined) child.references = spec.references?.map((one) => ({ ...one, scale: shown }));
  if (region) {
    const strength = plain.strength ?? repair.strength;
    Object.assign(child, { source: "this image", mask: "the region", padding_mask_crop: repair.padding_mask_crop, strength, hires: null });
  }
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const names = Object.keys(child).sort();
  view.parts.whole.replaceChildren(
    ...names.flatMap((name) => {
      const cls = text(child[name]) === text(spec[name]) ? "" : "new";
      return [make("dt", { text: name }), make("dd", { cls, text: text(child[name]) })];
    }),
  );
}

function percent(part) {
  return `${Math.round(part * 100)} %`;
}

/** schemas.review.Changes of what the panel says; only what differs from the parent. */
function changesOf(view) {
  const { asking, parts } = view;
  const item = view.deck.items.get(asking.id);
  const changes = {};
  for (const name of FIELDS[asking.way]) {
    const field = parts.ask.querySelector(`[data-change=${name}]`);
    if (field.closest("[data-for]").hidden) continue;
    const value = valueOf(field);
    if (value !== null && value !== item.retake[name]) changes[name] = value;
  }
  if (asking.way === "region") changes.region = repairable(view, item);
  return changes;
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.dataset.change === "seamless") return field.value || null;
  if (NUMBERS.includes(field.dataset.change)) return field.value === "" ? null : Number(field.value);
  return field.value;
}

function answer(view) {
  const { asking, parts } = view;
  const draft = draftOf(view.deck, asking.id);
  draft.note = parts["ask-note"].value;
  const reasons = view.data.reasons.filter((reason) => asking.reasons.has(reason));
  const bad = Object.values(draft.marks).includes("bad");
  if (!reasons.length && !draft.regions.length && !draft.note.trim() && !bad) {
    parts["ask-wrong"].textContent = "Choose a reason, or write a note: the next night needs to know.";
    return;
  }
  const changes = asking.verdict === "retake" ? changesOf(view) : null;
  if (changes?.strength !== undefined && !(changes.strength > 0 && changes.strength <= 1)) {
    parts["ask-wrong"].textContent = "Strength is above 0 and at most 1.";
    return;
  }
  close(view);
  decide(view, asking.verdict, { reasons, changes });
}

function open(view, name) {
  for (const dialog of ["ask", "help", "grid"]) view.parts[dialog].hidden = dialog !== name;
  view.parts.shade.hidden = false;
  view.dialog = name;
}

function close(view) {
  view.parts.shade.hidden = true;
  view.dialog = "";
  view.parts.stage.focus({ preventScroll: true });
}
