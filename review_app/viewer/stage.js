// @ts-check
// The picture: prefetched, swapped whole, zoomed to true pixels, compared with what it was made from, drawn upon.

const AHEAD = 8;
const BEHIND = 3;
const BESIDE = 6; // pictures beside the image that are loaded before anybody asks for them
const IN_FLIGHT = 4;

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

function isLoaded(image) {
  return Boolean(image && image.complete && image.naturalWidth);
}

/** What is worth having now, the most wanted first: what comes next, then what it is compared with. */
function listWanted(view) {
  const { deck, look } = view;
  const here = onScreen(deck);
  if (!here) return [];
  const near = [...deck.order.slice(deck.at, deck.at + AHEAD + 1), ...deck.order.slice(Math.max(0, deck.at - BEHIND), deck.at)];
  const items = near.map((id) => deck.items.get(id)).filter(Boolean);
  const wanted = [here.thumb, here.preview];
  if (look.zoom || look.inspects || view.coloured) wanted.push(here.original);
  wanted.push(...items.map((item) => item.preview));
  if (look.zoom) wanted.push(...items.slice(1, 3).map((item) => item.original));
  wanted.push(...here.beside.slice(0, BESIDE).map((other) => other.url));
  wanted.push(...items.filter((item) => item.beside.length).map((item) => item.beside[0].url));
  return [...new Set(wanted)];
}

/** Loads what is wanted, IN_FLIGHT at a time and in order, so that on a slow link the next picture is not held up by the
 * eighth; drops the rest, so that memory stays bounded. */
function prefetch(view) {
  const { pool } = view;
  const wanted = listWanted(view);
  const kept = new Set(wanted);
  for (const [url, image] of pool) {
    if (kept.has(url)) continue;
    if (!image.complete) image.src = ""; // stops the transfer
    pool.delete(url);
  }
  let loading = wanted.filter((url) => pool.has(url) && !pool.get(url).complete).length;
  for (const url of wanted) {
    if (loading >= (view.ready ? IN_FLIGHT : 1)) return;
    if (pool.has(url)) continue;
    const image = element(pool, url);
    loading += 1;
    for (const end of ["load", "error"]) image.addEventListener(end, () => prefetch(view), { once: true });
  }
}

function showPicture(view) {
  const item = onScreen(view.deck);
  const { stage, pictures, canvas } = view.parts;
  const started = performance.now();
  stage.dataset.image = item ? item.id : "";
  stage.dataset.revision = item ? item.revision : "";
  canvas.hidden = !item;
  if (!item) {
    pictures.replaceChildren();
    return;
  }
  keepPlace(view, item);
  present(view);
  compare(view, "");
  layout(view);
  drawBoxes(view);
  prefetch(view);
  showTone(view);
  showTiles(view);
  showPanes(view);
  showLit(view);
  showColours(view);
  inspect(view);
  const image = pictures.firstChild;
  const painted = () =>
    requestAnimationFrame(() => {
      view.lastPaint = performance.now() - started;
      stage.dataset.painted = item.id;
    });
  if (image.complete) painted();
  else image.addEventListener("load", painted, { once: true });
}

/** Zoom and place stay from image to image: the same part of the picture, whatever its size. */
function keepPlace(view, item) {
  const { look } = view;
  const before = look.size || [item.width, item.height];
  view.look = { ...look, x: (look.x * item.width) / before[0], y: (look.y * item.height) / before[1], mode: "", split: 0.5, size: [item.width, item.height] };
}

/** The best picture that has come; a better one takes its place when it is here: thumbnail, preview, and the original
 * only where it is looked at pixel by pixel. */
function present(view) {
  const item = onScreen(view.deck);
  if (!item) return;
  const best = view.look.zoom ? item.original : item.preview;
  const here = [best, item.preview].find((url) => isLoaded(view.pool.get(url)));
  place(view, here || item.thumb);
  if (here === best) return startTheRest(view);
  const image = element(view.pool, best);
  const arrived = () => {
    if (onScreen(view.deck) === item && best === (view.look.zoom ? item.original : item.preview)) place(view, best);
    startTheRest(view);
  };
  if (image.complete) image.decode().then(arrived, arrived);
  else for (const end of ["load", "error"]) image.addEventListener(end, arrived, { once: true });
}

/** Once the first picture is here, everything else may load. */
function startTheRest(view) {
  if (view.ready) return;
  view.ready = true;
  if (view.data) refresh(view);
  prefetch(view);
}

function place(view, url) {
  const item = onScreen(view.deck);
  const image = element(view.pool, url);
  image.alt = `${item.asset}, ${item.variant}`;
  if (view.parts.pictures.firstChild !== image) view.parts.pictures.replaceChildren(image);
  view.parts.stage.dataset.sharp = String(url !== item.thumb);
}

/** Sizes the canvas: zoom 0 fits the stage; otherwise CSS pixels per image pixel, times the device's ratio. */
function layout(view) {
  const item = onScreen(view.deck);
  if (!item) return;
  const { stage, canvas, zoomed } = view.parts;
  const { look } = view;
  const ratio = window.devicePixelRatio || 1;
  const times = look.tiles ? 3 : 1;
  const room = roomOf(view);
  const fit = Math.min(room[0] / item.width, room[1] / item.height) / times;
  const scale = look.zoom ? look.zoom / ratio : Math.max(fit, 0.01);
  // whole pixels for a tile, or hairlines would show between tiles that meet
  const size = [item.width * scale, item.height * scale].map((side) => (look.tiles ? Math.max(1, Math.round(side)) : side));
  const slack = [0, 1].map((axis) => Math.max(0, (size[axis] * times - room[axis]) / 2));
  look.x = Math.min(slack[0], Math.max(-slack[0], look.x));
  look.y = Math.min(slack[1], Math.max(-slack[1], look.y));
  Object.assign(canvas.style, {
    width: `${size[0]}px`,
    height: `${size[1]}px`,
    transform: `translate(calc(-50% + ${look.x}px), calc(-50% + ${look.y}px))`,
  });
  const crisp = look.pixels === "nearest" || (look.pixels !== "smooth" && scale * ratio >= 2 && look.zoom > 0);
  stage.classList.toggle("crisp", crisp);
  stage.classList.toggle("pans", slack[0] > 0 || slack[1] > 0);
  zoomed.textContent = look.zoom ? `${Math.round(look.zoom * 100)} %` : "Zoom";
  layoutTiles(view, size);
  layoutPanes(view, scale);
  drawLit(view);
}

/** CSS pixels for one picture: of the stage, or of a pane of it. */
function roomOf(view) {
  const { stage } = view.parts;
  const [columns, rows] = paneGrid(view);
  return [stage.clientWidth / columns - 16, stage.clientHeight / rows - 16];
}

function zoomTo(view, zoom, origin) {
  const item = onScreen(view.deck);
  if (!item) return;
  const box = view.parts.canvas.getBoundingClientRect();
  const before = origin ? [(origin.x - box.left) / box.width, (origin.y - box.top) / box.height] : [0.5, 0.5];
  view.look.zoom = zoom;
  if (!zoom) Object.assign(view.look, { x: 0, y: 0 });
  present(view);
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

/** mode: "" alone, "blink" the other instead, "wipe" side by side at `split`, "difference",
 * "overlay" the other's light parts (edges, lines) over the image. */
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
  for (const act of ["wipe", "difference", "overlay"]) {
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
  for (const decision of item.decisions) {
    for (const region of decision.regions) boxes.append(marking(region, "asked", region.label || region.criterion || "marked before", item));
  }
  for (const region of draftOf(view.deck, item.id).regions) boxes.append(marking(region, "mine", region.label || region.criterion || "here", item));
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
