// @ts-check
// Under a finding's sentence: colours wanted beside found, letters asked beside read, close-ups. And where on the
// picture a colour is, as a layer over it.

const MASK_SIDE = 320; // px of the longer side at which colours are looked up
const AROUND = 0.2; // of a place's size, shown around it in a close-up

function evidence(view, item, finding) {
  const shown = finding?.evidence || {};
  const nodes = [];
  if (shown.close_ups) nodes.push(make("div", { cls: "close-ups" }, ...shown.close_ups.map((place, index) => closeUp(view, item, finding.check, place, index))));
  if (shown.letters?.length) nodes.push(letters(shown.letters));
  if (shown.colours) nodes.push(make("div", { cls: "swatches" }, ...shown.colours.map((one) => swatch(view, one))));
  return nodes;
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

function swatch(view, { colour, share, nearest, distance, off }) {
  const colours = make("span", { cls: "pair" }, make("i", {}), make("i", {}));
  colours.children[0].style.background = colour;
  colours.children[1].style.background = nearest;
  const words = off ? `${colour}, ${percent(share)}: ${Math.round(distance)} from ${nearest}` : `${colour}, ${percent(share)}: in the palette`;
  const pressed = view.coloured === colour;
  const button = make("button", { type: "button", cls: `swatch ${off ? "off" : ""}`, "data-colour": colour, "aria-pressed": String(pressed) }, colours, make("span", { text: words }));
  button.title = "Found, and the palette's nearest. Press: where on the picture";
  return button;
}

/** What was asked above what was read; letters that differ stand out by a line and not by colour alone. */
function letters(rows) {
  const cell = (text, same) => make("span", { cls: same ? "" : "differs", text: text === " " ? "\u00a0" : text || "·" });
  const line = (name, column) => make("p", { "aria-label": `${name}: ${rows.map((row) => row[column]).join("")}` }, make("b", { text: name, "aria-hidden": "true" }), make("span", { cls: "letters-of", "aria-hidden": "true" }, ...rows.map((row) => cell(row[column], row[2]))));
  const asked = line("asked", 0);
  const read = line("read", 1);
  for (const one of [asked, read]) one.setAttribute("role", "note");
  return make("div", { cls: "letters" }, asked, read);
}

/** The part of the picture around a place, at most as wide as the panel. */
function closeUp(view, item, check, place, index) {
  const [left, top] = [Math.max(0, place.x - AROUND * place.width), Math.max(0, place.y - AROUND * place.height)];
  const [right, bottom] = [Math.min(1, place.x + (1 + AROUND) * place.width), Math.min(1, place.y + (1 + AROUND) * place.height)];
  const [width, height] = [right - left, bottom - top];
  const picture = make("span", { cls: "crop" });
  const shift = (start, side) => (side < 1 ? (100 * start) / (1 - side) : 0);
  Object.assign(picture.style, {
    aspectRatio: `${width * item.width} / ${height * item.height}`,
    backgroundSize: `${100 / width}% ${100 / height}%`,
    backgroundPosition: `${shift(left, width)}% ${shift(top, height)}%`,
  });
  if (view.ready) picture.style.backgroundImage = `url(${JSON.stringify(item.preview)})`;
  const label = place.label || `place ${index + 1}`;
  const button = make("button", { type: "button", cls: "close-up", "data-closer": JSON.stringify(place) }, picture, make("span", { text: label }));
  button.setAttribute("aria-label", `${capital(check)}: look closer at ${label}`);
  return button;
}

/** Zooms until a place fills two thirds of the stage. */
function lookCloser(view, place) {
  const item = onScreen(view.deck);
  if (!item) return;
  const ratio = window.devicePixelRatio || 1;
  const room = roomOf(view);
  const scale = Math.min(room[0] / (place.width * item.width), room[1] / (place.height * item.height)) * 0.66;
  zoomTo(view, Math.min(16, Math.max(0.1, scale * ratio)));
  const shown = view.look.zoom / ratio;
  view.look.x = (0.5 - place.x - place.width / 2) * item.width * shown;
  view.look.y = (0.5 - place.y - place.height / 2) * item.height * shown;
  layout(view);
}

/** One of a finding's colours marked on the picture, "off" for all that is off the palette, or nothing. */
function markColour(view, colour) {
  view.coloured = view.coloured === colour ? "" : colour;
  showColours(view);
  const item = onScreen(view.deck);
  if (item) showMarks(view, item, draftOf(view.deck, item.id));
  say(view, view.coloured ? `Marked: ${view.coloured === "off" ? "off the palette" : view.coloured}` : "No colour marked");
}

function markOff(view) {
  const item = onScreen(view.deck);
  if (item?.palette) return markColour(view, "off");
  notice(view, { title: "No palette:", text: "the manifest of this image has no brand palette to compare with." });
}

function showColours(view) {
  const item = onScreen(view.deck);
  const { colours } = view.parts;
  const brand = item?.findings.find((one) => one.evidence?.colours)?.evidence;
  const known = view.coloured === "off" ? item?.palette : brand?.colours.some((one) => one.colour === view.coloured);
  if (!known) view.coloured = "";
  colours.hidden = !view.coloured;
  view.root.querySelector("[data-act=off]").setAttribute("aria-pressed", String(view.coloured === "off"));
  if (!view.coloured) return;
  const image = element(view.pool, item.original); // from the app's own address, so that its pixels can be read
  const paint = () => onScreen(view.deck) === item && view.coloured && paintColours(view, item, image, brand);
  if (isLoaded(image)) paint();
  else image.addEventListener("load", paint, { once: true });
}

/** Marked places stay as they are; the rest is covered. */
function paintColours(view, item, image, brand) {
  const { colours } = view.parts;
  const scale = Math.min(1, MASK_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  colours.width = Math.max(1, Math.round(image.naturalWidth * scale));
  colours.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = colours.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false; // an average of two colours is a third
  context.drawImage(image, 0, 0, colours.width, colours.height);
  const pixels = context.getImageData(0, 0, colours.width, colours.height);
  const isMarked = view.coloured === "off" ? isOffPalette(item.palette) : isNearest(view.coloured, brand);
  const [marked, rest] = view.coloured === "off" ? [[255, 0, 255, 190], [24, 24, 28, 110]] : [[0, 0, 0, 0], [24, 24, 28, 205]];
  const known = new Map();
  for (let at = 0; at < pixels.data.length; at += 4) {
    const [red, green, blue] = pixels.data.subarray(at, at + 3);
    const code = ((red >> 2) << 12) | ((green >> 2) << 6) | (blue >> 2);
    if (!known.has(code)) known.set(code, isMarked(labOf(red, green, blue)));
    pixels.data.set(known.get(code) ? marked : rest, at);
  }
  context.putImageData(pixels, 0, 0);
  colours.dataset.shows = view.coloured;
}

function isOffPalette({ colours, tolerance }) {
  return (lab) => nearestColour(lab, colours).distance > tolerance;
}

/** Whether a pixel belongs to this one of the finding's colours; the ground that was left out is a colour too. */
function isNearest(colour, { colours, ground }) {
  const all = [...colours.map((one) => one.colour), ...(ground ? [ground] : [])];
  return (lab) => nearestColour(lab, all).colour === colour;
}
