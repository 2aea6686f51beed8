// @ts-check
// Draws the tiles in view and those close by, asks the server for what it lacks, and turns keys and clicks into a
// selection. All text by textContent.

const OVERSCAN = 2; // rows above and below that are drawn as well
const KEPT_PAGES = 60;
const ASK_MS = 100;

const tables = new WeakMap();

export default function mount({ data, parentElement, setStateValue, setTriggerValue }) {
  let view = tables.get(parentElement);
  if (!view) {
    view = build(parentElement);
    tables.set(parentElement, view);
  }
  Object.assign(view, { set: setStateValue, trigger: setTriggerValue });
  if (!view.stop) attach(view);
  take(view, data);
  return () => {
    view.stop.abort();
    view.stop = null;
    view.resize.disconnect();
  };
}

function build(shadow) {
  const parts = {};
  for (const node of shadow.querySelectorAll("[data-part]")) parts[node.dataset.part] = node;
  return { shadow, parts, data: null, pages: new Map(), asked: new Set(), drawn: new Map(), heads: [], chosen: newSelection(0), rows: rowsFor([], 1), busy: false, asking: null, timer: 0 };
}

function attach(view) {
  const { parts } = view;
  view.stop = new AbortController();
  const on = { signal: view.stop.signal };
  document.addEventListener("keydown", (event) => onKey(view, event), on);
  parts.list.addEventListener("scroll", () => draw(view), { ...on, passive: true });
  parts.list.addEventListener("pointerdown", (event) => onPointer(view, event), on);
  parts.list.addEventListener("click", (event) => onTile(view, event), on);
  parts.list.addEventListener("dblclick", (event) => event.target.closest("[data-place]") && openOne(view), on);
  parts.bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.part === "contest") sendAct(view, { name: "contest" });
    else start(view, button.dataset.part);
  }, on);
  parts.ask.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.reason) toggleReason(view, button.dataset.reason);
    else if (button?.dataset.act === "cancel") closeAsk(view);
  }, on);
  parts.ask.addEventListener("submit", (event) => (event.preventDefault(), answer(view)), on);
  view.resize = new ResizeObserver(() => view.data && arrange(view));
  view.resize.observe(parts.list);
}

function take(view, data) {
  if (!view.data || view.data.order !== data.order) {
    const cursor = view.data ? Math.min(view.chosen.cursor, Math.max(0, data.total - 1)) : 0;
    Object.assign(view, { pages: new Map(), asked: new Set(), chosen: newSelection(data.total) });
    Object.assign(view.chosen, { cursor, anchor: cursor });
    for (const node of view.drawn.values()) node.remove();
    view.drawn.clear();
    if (view.asking) closeAsk(view); // it asked about images that are no longer chosen
  }
  view.busy = false;
  view.data = data;
  for (const [number, tiles] of Object.entries(data.pages)) {
    view.pages.delete(Number(number));
    view.pages.set(Number(number), tiles);
    view.asked.delete(Number(number));
  }
  for (const number of view.pages.keys()) if (view.pages.size > KEPT_PAGES) view.pages.delete(number);
  arrange(view);
}

function arrange(view) {
  const { parts, data } = view;
  view.rows = rowsFor(data.sections, parts.list.clientWidth - 4);
  parts.space.style.height = `${view.rows.height}px`;
  draw(view);
  showBar(view);
}

function tileOf(view, place) {
  return view.pages.get(Math.floor(place / view.data.page))?.[place % view.data.page];
}

/** Puts the tiles in view into the page, keeps those that are there already, and removes the others. */
function draw(view) {
  const { parts, data, rows, drawn } = view;
  if (!data.total) return;
  const over = OVERSCAN * (TILE.height + TILE.gap);
  const top = parts.list.scrollTop;
  const [first, last] = placesBetween(rows, top - over, Math.min(rows.height - 1, top + parts.list.clientHeight + over));
  for (const [place, node] of drawn) {
    if (place >= first && place <= last) continue;
    node.remove();
    drawn.delete(place);
  }
  const width = (parts.list.clientWidth - 4 - TILE.gap * (rows.columns - 1)) / rows.columns;
  for (let place = first; place <= last; place += 1) {
    let node = drawn.get(place);
    if (!node) {
      node = newTile(place);
      drawn.set(place, node);
      parts.space.append(node);
    }
    const { column, top: y } = tileAt(rows, place);
    Object.assign(node.style, { width: `${width}px`, transform: `translate(${column * (width + TILE.gap)}px, ${y}px)` });
    fill(view, node, place);
  }
  drawHeads(view, top - over, top + parts.list.clientHeight + over);
  askFor(view, first, last);
}

function drawHeads(view, top, bottom) {
  for (const head of view.heads) head.remove();
  view.heads = [];
  const { sections } = view.rows;
  for (let number = sectionAt(view.rows, "top", Math.max(0, top)); number < sections.length && sections[number].top <= bottom; number += 1) {
    if (!sections[number].title) continue;
    const head = document.createElement("div");
    head.className = "head";
    head.setAttribute("aria-hidden", "true"); // each tile's label names its asset
    head.textContent = `${sections[number].title} · ${sections[number].images.toLocaleString("en")}`;
    head.style.transform = `translateY(${sections[number].top}px)`;
    view.parts.space.append(head);
    view.heads.push(head);
  }
}

function newTile(place) {
  const node = document.createElement("div");
  node.className = "tile";
  node.id = `place-${place}`;
  node.dataset.place = String(place);
  node.setAttribute("role", "option");
  const frame = document.createElement("span");
  frame.className = "frame";
  const name = document.createElement("span");
  name.className = "name";
  const flags = document.createElement("span");
  flags.className = "flags";
  node.append(frame, name, flags);
  return node;
}

function fill(view, node, place) {
  const tile = tileOf(view, place);
  const { chosen } = view;
  node.setAttribute("aria-selected", String(chosen.places.has(place)));
  node.setAttribute("aria-posinset", String(place + 1));
  node.setAttribute("aria-setsize", String(view.data.total));
  node.classList.toggle("cursor", place === chosen.cursor);
  if (!tile) return void node.setAttribute("aria-label", `Image ${place + 1}`);
  if (node.dataset.id === tile.id) return;
  node.dataset.id = tile.id;
  const [frame, name, flags] = node.children;
  const image = document.createElement("img");
  Object.assign(image, { src: tile.thumb, alt: "", decoding: "async", draggable: false });
  frame.replaceChildren(image);
  name.textContent = tile.name;
  flags.textContent = tile.flags ? `look: ${tile.flags}` : "";
  if (tile.maybe) flags.prepend(rated(tile));
  node.title = tile.about;
  node.setAttribute("aria-label", [tile.about, tile.maybe && `rated ${tile.maybe}`, tile.flags && `flagged: ${tile.flags}`].filter(Boolean).join(", "));
}

/** Asks for the pages in view and the next ones on both sides that are not here; while it is scrolled a few times a
 * second, so that tiles come under way too. */
function askFor(view, first, last) {
  view.inView = [first, last];
  if (view.timer) return;
  view.timer = setTimeout(() => {
    view.timer = 0;
    const { page, order, total } = view.data;
    const [start, end] = view.inView;
    const wanted = [];
    for (let number = Math.max(0, Math.floor(start / page) - 1); number <= Math.floor(Math.min(end + page, total - 1) / page); number += 1) {
      if (!view.pages.has(number)) wanted.push(number);
    }
    if (wanted.every((number) => view.asked.has(number))) return; // they are on their way
    view.asked = new Set(wanted);
    view.set("window", { order, pages: wanted });
  }, ASK_MS);
}

function onPointer(view, event) {
  view.touched = event.pointerType === "touch";
}

function onTile(view, event) {
  const node = event.target.closest("[data-place]");
  if (!node) return;
  const keep = event.ctrlKey || event.metaKey || Boolean(view.touched); // a finger has no Ctrl key: a tap switches
  pick(view.chosen, Number(node.dataset.place), { extend: event.shiftKey, keep });
  view.parts.list.focus({ preventScroll: true });
  reshow(view);
}

function reshow(view) {
  for (const [place, node] of view.drawn) {
    node.setAttribute("aria-selected", String(view.chosen.places.has(place)));
    node.classList.toggle("cursor", place === view.chosen.cursor);
  }
  const { list } = view.parts;
  if (view.drawn.has(view.chosen.cursor)) list.setAttribute("aria-activedescendant", `place-${view.chosen.cursor}`);
  else list.removeAttribute("aria-activedescendant");
  showBar(view);
}

/** Scrolls until the cursor's tile is whole in view. */
function reveal(view) {
  const { list } = view.parts;
  const { top } = tileAt(view.rows, view.chosen.cursor);
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + TILE.height > list.scrollTop + list.clientHeight) list.scrollTop = top + TILE.height - list.clientHeight;
  draw(view);
}

function openOne(view) {
  view.trigger("open", { order: view.data.order, place: view.chosen.cursor, at: Date.now() });
}

function onKey(view, event) {
  if (!view.data?.total || event.isComposing || event.altKey || document.querySelector("[data-testid=stDialog]")) return;
  if (askKey(view, event)) return;
  const at = event.composedPath()[0];
  if (at instanceof Element && at.closest("input, textarea, select, [contenteditable]")) return;
  const inside = view.shadow.activeElement === view.parts.list;
  const low = letterOf(event);
  const command = event.ctrlKey || event.metaKey;
  if (command && low === "a" && (inside || at === document.body)) pickAll(view.chosen);
  else if (command && !inside) return;
  else if (!command && { a: 1, x: 1, t: 1 }[low] && !event.repeat) start(view, { a: "approve", x: "reject", t: "retake" }[low]);
  else if (!inside || !move(view, event)) return;
  event.preventDefault();
  reshow(view);
}

/** The letter; its key's place where the layout has another script's letter there. */
function letterOf(event) {
  const placed = /^Key([A-Z])$/.exec(event.code || "");
  const foreign = /^\p{L}$/u.test(event.key) && !/^\p{Script=Latin}$/u.test(event.key);
  return (foreign && placed ? placed[1] : event.key).toLowerCase();
}

/** The cursor's keys; false when the key is none of them. */
function move(view, event) {
  const { chosen, rows, parts, data } = view;
  const page = Math.max(1, Math.floor(parts.list.clientHeight / (TILE.height + TILE.gap)));
  const step = (rowsDown) => {
    let place = chosen.cursor;
    for (let n = 0; n < Math.abs(rowsDown); n += 1) place = placeInRow(rows, place, Math.sign(rowsDown));
    return place;
  };
  const to = {
    ArrowLeft: () => chosen.cursor - 1, ArrowRight: () => chosen.cursor + 1, ArrowUp: () => step(-1), ArrowDown: () => step(1),
    Home: () => 0, End: () => data.total - 1, PageUp: () => step(-page), PageDown: () => step(page),
  }[event.key];
  if (to) {
    const place = Math.max(0, Math.min(data.total - 1, to()));
    if (event.ctrlKey || event.metaKey) chosen.cursor = place;
    else pick(chosen, place, { extend: event.shiftKey });
    reveal(view);
  } else if (event.key === " ") pick(chosen, chosen.cursor, { keep: true });
  else if (event.key === "Escape") chosen.places.clear();
  else if (event.key === "Enter") openOne(view);
  else return false;
  return true;
}

/** A dot of its colour and its stars. */
function rated(tile) {
  const mark = document.createElement("span");
  mark.className = `maybe ${tile.colour}`;
  mark.textContent = `${tile.maybe.replace(tile.colour, "").trim()} `;
  mark.title = `Rated ${tile.maybe}`;
  return mark;
}
