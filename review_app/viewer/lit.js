// @ts-check
// The lit preview: a texture on a sphere or a plane, under a light that the pointer and the arrow keys turn, with the maps
// that delivery would derive. The library and the maps are fetched when it is opened, never before.

const SHAPES = { sphere: "Sphere", plane: "Plane", tiles: "Plane, 2 × 2" };
const MAPS = { colour: "Colour", height: "Height", normal_gl: "Normal (GL)", normal_dx: "Normal (DX)", roughness: "Roughness", ao: "Occlusion", metallic: "Metallic" };
const MOST = 85; // degrees to each side, so that the light stays in front
const STEP = 5; // degrees a key press; with Shift three times that
const TURN = 0.5; // degrees a CSS pixel, while the pointer drags
const SETTLE = 200; // ms on an image before its maps are asked for, so that stepping through asks for none
const TURNS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, 1], arrowdown: [0, -1] };

function newLit() {
  return { shape: "sphere", map: "", right: -35, up: 35, scene: null, maps: null, id: "", stop: new AbortController() };
}

function buildLit(view, on) {
  const { lit } = view.parts;
  const canvas = view.parts["lit-canvas"];
  view.parts["lit-shape"].replaceChildren(...Object.entries(SHAPES).map(([value, text]) => make("option", { value, text })));
  lit.addEventListener("change", (event) => chooseLit(view, event.target), on);
  for (const kind of ["pointerdown", "touchstart", "touchmove", "wheel"]) lit.addEventListener(kind, (event) => event.stopPropagation(), { ...on, passive: true });
  let last = [0, 0];
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  }, on);
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    turnLight(view, (event.clientX - last[0]) * TURN, (last[1] - event.clientY) * TURN);
    last = [event.clientX, event.clientY];
  }, on);
  canvas.addEventListener("webglcontextlost", () => tellLit(view, "The graphics card has dropped the picture. Close the preview and open it again (0)."), on);
  canvas.addEventListener("webglcontextrestored", () => showLit(view), on);
}

/** A key, and a button that was pressed by a key, lead into the picture, so that the arrow keys turn the light. */
function toggleLit(view, event) {
  const item = onScreen(view.deck);
  if (!view.look.lit && !item.lit) {
    view.parts.notices.querySelector(".only")?.remove();
    const text = "this image is a picture by itself. No maps are derived of it, and no engine lays it over shapes.";
    return notice(view, { title: "Only textures are lit:", text, kind: "only" });
  }
  const inside = view.shadow.activeElement === view.parts["lit-canvas"];
  Object.assign(view.look, { lit: !view.look.lit, panes: 0, tiles: false, x: 0, y: 0, zoom: 0 });
  compare(view, "");
  showPanes(view);
  showTiles(view);
  present(view);
  layout(view);
  showLit(view);
  showTone(view);
  if (view.look.lit && (event?.type === "keydown" || event?.detail === 0)) view.parts["lit-canvas"].focus();
  else if (inside) view.parts.stage.focus();
  say(view, view.look.lit ? "Lit preview" : "Picture");
}

/** Whether the preview covers the picture. It stays from image to image, and leaves out those that are no textures. */
function isLit(view) {
  return Boolean(view.look.lit && onScreen(view.deck)?.lit);
}

function showLit(view) {
  const { parts, lit, look } = view;
  const item = onScreen(view.deck);
  parts.lit.hidden = !isLit(view);
  parts.stage.classList.toggle("lit-up", isLit(view));
  view.root.querySelector("[data-act=lit]").setAttribute("aria-pressed", String(Boolean(look.lit)));
  if (isLit(view) && lit.id === item.id) return drawLit(view);
  lit.stop.abort();
  Object.assign(lit, { stop: new AbortController(), id: "", maps: null });
  delete parts.stage.dataset.lit;
  if (lit.scene) emptyScene(lit.scene);
  if (!isLit(view)) return;
  lit.id = item.id;
  parts["lit-bar"].hidden = true;
  tellLit(view, "Deriving the maps, which takes some seconds for a large picture.");
  openLit(view, item, lit.stop.signal).catch((wrong) => lit.id === item.id && !lit.stop.signal.aborted && tellLit(view, wordsOf(wrong)));
}

async function openLit(view, item, signal) {
  const { lit } = view;
  await new Promise((done) => setTimeout(done, SETTLE));
  if (signal.aborted) return;
  // 1. The library, and what there is of the image
  if (!lit.scene && !hasGraphics()) throw new Error("This browser has no WebGL 2, which the lit preview needs. Everything else works without it.");
  const library = new URL("/lit/three.min.js", location.href).href;
  const [three, maps] = await Promise.all([lit.scene?.three || import(library), askForMaps(item, signal)]);
  if (signal.aborted) return;
  lit.scene ||= newScene(three, view.parts["lit-canvas"]);
  // 2. The maps themselves
  const loaded = await loadMaps(maps);
  if (signal.aborted) return;
  lit.maps = loaded;
  tellLit(view, "");
  fillLit(view);
  showShape(lit.scene, loaded, lit);
  drawLit(view);
  view.parts.stage.dataset.lit = item.id;
}

async function askForMaps(item, signal) {
  const answer = await fetch(item.lit, { signal });
  const maps = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(maps.wrong || "The maps could not be derived.");
  return maps;
}

function hasGraphics() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

function wordsOf(wrong) {
  return wrong instanceof TypeError || wrong instanceof DOMException ? "The server did not answer. Close the preview and open it again (0)." : wrong.message;
}

function tellLit(view, text) {
  view.parts["lit-words"].textContent = text;
}

/** The controls of what has been loaded. */
function fillLit(view) {
  const { parts, lit } = view;
  const kinds = lit.maps.maps.map(({ kind }) => kind);
  const derived = kinds.filter((kind) => kind !== "colour");
  if (!kinds.includes(lit.map)) lit.map = "";
  const options = kinds.map((value) => make("option", { value, text: MAPS[value] + (value === "colour" ? "" : ", derived") }));
  parts["lit-map"].replaceChildren(make("option", { value: "", text: "All, lit" }), ...options);
  Object.assign(parts["lit-map"], { value: lit.map });
  Object.assign(parts["lit-shape"], { value: lit.shape });
  const from = lit.maps.reduced ? ` at ${lit.maps.width} × ${lit.maps.height} px` : "";
  parts["lit-derived"].textContent = derived.length ? `derived${from}, not measured` : "colour alone: the manifest asks for no maps";
  parts["lit-derived"].title = lit.maps.maps.map(({ kind, how }) => `${MAPS[kind]}: ${how}`).join("\n");
  parts["lit-bar"].hidden = false;
  tellLight(view);
}

function chooseLit(view, control) {
  view.lit[control.dataset.lit] = control.value;
  showShape(view.lit.scene, view.lit.maps, view.lit);
  drawLit(view);
}

function drawLit(view) {
  if (isLit(view) && view.lit.maps) drawScene(view.lit.scene, view.lit);
}

function turnLight(view, right, up) {
  const { lit } = view;
  const within = (angle) => Math.max(-MOST, Math.min(MOST, angle));
  Object.assign(lit, { right: within(lit.right + right), up: within(lit.up + up) });
  tellLight(view);
  drawLit(view);
}

function tellLight(view) {
  const { right, up } = view.lit;
  const [across, along] = [Math.round(right), Math.round(up)];
  view.parts["lit-light"].textContent = `Light ${Math.abs(across)}° from the ${across < 0 ? "left" : "right"}, ${Math.abs(along)}° from ${along < 0 ? "below" : "above"}`;
}

/** The arrow keys, in the picture. @returns {boolean} whether the key was one of them */
function litKey(view, event, key) {
  if (!TURNS[key] || view.shadow.activeElement !== view.parts["lit-canvas"]) return false;
  event.preventDefault();
  const [right, up] = TURNS[key].map((way) => way * STEP * (event.shiftKey ? 3 : 1));
  turnLight(view, right, up);
  say(view, view.parts["lit-light"].textContent);
  return true;
}
