// @ts-check
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
  view.asking = { verdict, id: item.id, reasons, way: "seed", touched: new Set(), refusal: "" };
  view.wish = { number: view.wish?.number || 0, asked: "" };
  for (const part of [parts.will, parts.whole]) part.replaceChildren();
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
  const mine = draftOf(view.deck, item.id).regions.find((region) => region.shape !== "arrow");
  if (mine) return mine;
  const wanted = [...view.asking.reasons];
  const finding = item.findings.find((one) => one.regions.length && wanted.includes(REASON_OF[one.check]));
  return finding ? { ...finding.regions[0], criterion: finding.check, label: "" } : null;
}

/** The proposals of the reasons that were given, in the order in which the panel lists them. */
function proposals(view, item) {
  return view.data.reasons.filter((reason) => view.asking.reasons.has(reason)).map((reason) => item.retake.proposals[reason]);
}

function suggestedWay(view, item) {
  if (item.imported) return "region"; // made elsewhere: it can be repaired, and not made again
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
  if (!event.target.dataset.change) return;
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
      if (item.imported && way !== "region") {
        button.disabled = true;
        button.title = "This picture was made elsewhere; a place in it can be repaired";
      } else if (way === "region" && !place) {
        button.disabled = true;
        button.title = "Close this, mark the place with a box or the brush, and press T again";
      }
      return button;
    }),
  );
  parts["way-hint"].textContent = WAYS[asking.way].hint;
  const shown = FIELDS[asking.way].filter((name) => item.retake[name] !== null || (asking.way === "region" && name === "strength"));
  for (const field of parts.ask.querySelectorAll("[data-for]")) field.hidden = !shown.includes(field.dataset.for);
  wish(view, changesOf(view));
}

/** Asks the server what the night will make of these changes; the rule is schemas.review.retaken's alone. */
function wish(view, changes) {
  const asked = JSON.stringify([view.asking.id, changes]);
  if (view.wish?.asked === asked) return;
  view.wish = { number: (view.wish?.number || 0) + 1, asked, id: view.asking.id, changes };
  view.parts.will.parentElement.setAttribute("aria-busy", "true");
  clearTimeout(view.wishing);
  view.wishing = setTimeout(() => flush(view.outbox), 60);
}

/** The server's answer to the newest wish; an older one is passed over. */
function showPreview(view, preview) {
  const { asking, parts } = view;
  if (!preview || !asking || view.dialog !== "ask" || preview.number !== view.wish?.number) return;
  parts.will.parentElement.removeAttribute("aria-busy");
  parts.will.replaceChildren(...preview.will.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]));
  parts.whole.replaceChildren(
    ...preview.whole.flatMap(([name, text, changed]) => [make("dt", { text: name }), make("dd", { cls: changed ? "new" : "", text })]),
  );
  asking.refusal = preview.wrong;
  parts["ask-wrong"].textContent = explainRange(view) || preview.wrong;
}

/** Which number of the panel is out of its range, in the words of its label; empty when none is. The server refuses it
 * too, in the names of the schema, and its answer may come before or after. */
function explainRange(view) {
  const fields = [...view.parts.ask.querySelectorAll("input[type=number]")];
  const unfit = fields.find((field) => field.offsetParent && (field.validity.rangeOverflow || field.validity.rangeUnderflow));
  return unfit ? `${unfit.closest("label").firstChild.textContent}: ${unfit.validationMessage}` : "";
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
  const refusal = changes && (explainRange(view) || asking.refusal);
  if (refusal) return void (parts["ask-wrong"].textContent = refusal);
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
