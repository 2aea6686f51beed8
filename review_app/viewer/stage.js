// @ts-check
// The picture: prefetched, swapped whole, zoomed to true pixels, compared with what it was made from, drawn upon.

const AHEAD = 8;
const BEHIND = 3;

/** Decoded <img> elements by URL, so that the next image is there before its key is pressed. */
function newPool() {
  return new Map();
}

function element(pool, url) {
  let image = pool.get(url);
  if (!image) {
    image = new Image();
    image.decoding = "sync";
    image.draggable = false;
    image.src = url;
    image.decode?.().catch(() => {});
    pool.set(url, image);
  }
  return image;
}

function prefetch(view) {
  const { deck, pool } = view;
  const ids = deck.order.slice(Math.max(0, deck.at - BEHIND), deck.at + AHEAD + 1);
  const wanted = new Set();
  ids.forEach((id) => {
    const item = deck.items.get(id);
    if (!item) return;
    wanted.add(item.preview);
    if (item.beside.length) wanted.add(item.beside[0].url);
    for (const other of id === deck.order[deck.at] ? item.beside : []) wanted.add(other.url);
  });
  const here = onScreen(deck);
  if (here) wanted.add(here.original);
  for (const url of wanted) if (!here || url !== here.original) element(pool, url);
  for (const url of pool.keys()) if (!wanted.has(url)) pool.delete(url);
}

function showPicture(view) {
  const item = onScreen(view.deck);
  const { stage, pictures, canvas } = view.parts;
  const started = performance.now();
  stage.dataset.image = item ? item.id : "";
  stage.dataset.revision = item ? item.revision : "";
  stage.dataset.ground = item?.cut ? view.ground : "";
  view.parts.ground.hidden = !item?.cut;
  canvas.hidden = !item;
  if (!item) {
    pictures.replaceChildren();
    return;
  }
  view.look = { ...view.look, zoom: 0, x: 0, y: 0, mode: "", split: 0.5 };
  place(view, item.preview);
  compare(view, "");
  layout(view);
  drawBoxes(view);
  prefetch(view);
  const image = pictures.firstChild;
  const painted = () =>
    requestAnimationFrame(() => {
      view.lastPaint = performance.now() - started;
      stage.dataset.painted = item.id;
    });
  if (image.complete) painted();
  else image.addEventListener("load", painted, { once: true });
}

function place(view, url) {
  const item = onScreen(view.deck);
  const image = element(view.pool, url);
  image.alt = `${item.asset}, ${item.variant}`;
  if (view.parts.pictures.firstChild !== image) view.parts.pictures.replaceChildren(image);
}

/** Sizes the canvas: zoom 0 fits the stage; otherwise CSS pixels per image pixel, times the device's ratio. */
function layout(view) {
  const item = onScreen(view.deck);
  if (!item) return;
  const { stage, canvas, zoomed } = view.parts;
  const ratio = window.devicePixelRatio || 1;
  const room = [stage.clientWidth - 16, stage.clientHeight - 16];
  const fit = Math.min(room[0] / item.width, room[1] / item.height);
  const scale = view.look.zoom ? view.look.zoom / ratio : Math.max(fit, 0.01);
  const size = [item.width * scale, item.height * scale];
  const slack = [Math.max(0, (size[0] - room[0]) / 2), Math.max(0, (size[1] - room[1]) / 2)];
  view.look.x = Math.min(slack[0], Math.max(-slack[0], view.look.x));
  view.look.y = Math.min(slack[1], Math.max(-slack[1], view.look.y));
  Object.assign(canvas.style, {
    width: `${size[0]}px`,
    height: `${size[1]}px`,
    transform: `translate(calc(-50% + ${view.look.x}px), calc(-50% + ${view.look.y}px))`,
  });
  canvas.classList.toggle("crisp", scale * ratio >= 2 && view.look.zoom > 0);
  stage.classList.toggle("pans", slack[0] > 0 || slack[1] > 0);
  zoomed.textContent = view.look.zoom ? `${Math.round(view.look.zoom * 100)} %` : "Zoom";
}

function zoomTo(view, zoom, origin) {
  const item = onScreen(view.deck);
  if (!item) return;
  const box = view.parts.canvas.getBoundingClientRect();
  const before = origin ? [(origin.x - box.left) / box.width, (origin.y - box.top) / box.height] : [0.5, 0.5];
  view.look.zoom = zoom;
  if (!zoom) Object.assign(view.look, { x: 0, y: 0 });
  else place(view, item.original);
  layout(view);
  if (zoom && origin) {
    const now = view.parts.canvas.getBoundingClientRect();
    view.look.x += origin.x - (now.left + before[0] * now.width);
    view.look.y += origin.y - (now.top + before[1] * now.height);
    layout(view);
  }
}

function zoomNow(view) {
  if (view.look.zoom) return view.look.zoom;
  const item = onScreen(view.deck);
  return (view.parts.canvas.clientWidth / item.width) * (window.devicePixelRatio || 1);
}

/** mode: "" alone, "blink" the other instead, "wipe" side by side at `split`, "difference". */
function compare(view, mode) {
  const item = onScreen(view.deck);
  const other = item?.beside[view.beside % Math.max(1, item.beside.length)];
  const { under, stage } = view.parts;
  const shown = other && mode;
  view.look.mode = shown ? mode : "";
  under.hidden = !shown;
  stage.dataset.compare = view.look.mode;
  if (shown) {
    const image = element(view.pool, other.url).cloneNode();
    image.alt = other.label;
    under.replaceChildren(image);
    under.className = `beside-layer ${mode}`;
    under.style.clipPath = mode === "wipe" ? `inset(0 0 0 ${view.look.split * 100}%)` : "";
    under.style.setProperty("--split", `${view.look.split * 100}%`);
  }
  view.parts.caption.textContent = shown ? other.label : "";
  for (const act of ["wipe", "difference"]) {
    view.root.querySelector(`[data-act=${act}]`).setAttribute("aria-pressed", String(view.look.mode === act));
  }
}

function drawBoxes(view) {
  const item = onScreen(view.deck);
  const { boxes } = view.parts;
  boxes.replaceChildren();
  if (!item) return;
  boxes.hidden = !view.boxesShown;
  for (const finding of item.findings) {
    for (const region of finding.regions) boxes.append(box(region, `found ${finding.result}`, region.label || finding.check));
  }
  for (const region of draftOf(view.deck, item.id).regions) boxes.append(box(region, "mine", region.criterion || "here"));
}

function box(region, kind, label) {
  const frame = document.createElement("div");
  frame.className = `box ${kind}`;
  for (const [side, part] of [["left", "x"], ["top", "y"], ["width", "width"], ["height", "height"]]) {
    frame.style[side] = `${region[part] * 100}%`;
  }
  const name = document.createElement("span");
  name.textContent = label;
  if (region.y < 0.06) name.className = "inside";
  frame.append(name);
  return frame;
}
