// @ts-check
// How the picture is shown: background, channels, exposure, gamma, tiles. Nothing here changes what is decided.

const CHOICES = {
  backdrop: { "": "Automatic", checker: "Checker", black: "Black", grey: "Mid-grey", white: "White" },
  channel: { "": "Colour", red: "Red", green: "Green", blue: "Blue", alpha: "Alpha", luminance: "Luminance" },
  pixels: { "": "Sharp from 200 %", smooth: "Smooth", nearest: "Nearest" },
};
const PLAIN = { backdrop: "", channel: "", pixels: "", exposure: 0, gamma: 1 };
const GAME = "game:"; // before the name of a background that the manifest gives
const SVG = "http://www.w3.org/2000/svg";
const GREY = { red: "1 0 0 0 0", green: "0 1 0 0 0", blue: "0 0 1 0 0", alpha: "0 0 0 1 0", luminance: "0.2126 0.7152 0.0722 0 0" };

/** The controls and the filter, built once. */
function buildLooking(view) {
  for (const [name, options] of Object.entries(CHOICES)) {
    const select = view.root.querySelector(`[data-look=${name}]`);
    select.replaceChildren(...Object.entries(options).map(([value, text]) => make("option", { value, text })));
  }
  const svg = document.createElementNS(SVG, "svg");
  const filter = document.createElementNS(SVG, "filter");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "unseen");
  for (const [name, value] of Object.entries({ id: "tone", x: "0", y: "0", width: "1", height: "1" })) filter.setAttribute(name, value);
  svg.append(filter);
  view.root.append(svg);
  view.tone = filter;
}

/** The values of a control and their names; an image with transparent places has its game's own backgrounds too. */
function choicesOf(view, name) {
  const item = name === "backdrop" ? onScreen(view.deck) : undefined;
  const own = item?.cut ? item.backgrounds.map((one) => [GAME + one.name, one.name]) : [];
  return own.length ? { ...CHOICES[name], ...Object.fromEntries(own) } : CHOICES[name];
}

/** The background of the image on screen. One that was chosen stays chosen over images that do not have it. */
function showBackdrop(view) {
  const { parts, look } = view;
  const item = onScreen(view.deck);
  const choices = choicesOf(view, "backdrop");
  const select = view.root.querySelector("[data-look=backdrop]");
  const values = Object.keys(choices);
  if (values.join() !== [...select.options].map((option) => option.value).join()) {
    select.replaceChildren(...values.map((value) => make("option", { value, text: choices[value] })));
  }
  const chosen = values.includes(look.backdrop) ? look.backdrop : "";
  const game = item?.backgrounds.find((one) => GAME + one.name === chosen);
  parts.stage.dataset.backdrop = game ? "game" : chosen || (item?.cut ? "checker" : "");
  select.value = chosen;
  const url = game ? game.url : "";
  if (parts.stage.dataset.behind === url) return;
  parts.stage.dataset.behind = url;
  parts.stage.style.setProperty("--behind", url ? `url(${JSON.stringify(url)})` : "none");
  if (url) Object.assign(new Image(), { src: url, onerror: () => notice(view, { title: "Background:", text: `${game.name} could not be loaded.`, kind: "bad" }) });
}

function primitive(name, space, attributes, children = []) {
  const node = document.createElementNS(SVG, name);
  node.setAttribute("color-interpolation-filters", space);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** One function for red, green and blue alike. */
function curve(space, attributes) {
  const parts = ["feFuncR", "feFuncG", "feFuncB"].map((name) => primitive(name, space, attributes));
  return primitive("feComponentTransfer", space, {}, parts);
}

/** Exposure in stops on linear light, gamma on the coded values, then the channel as grey. */
function toneSteps({ exposure, gamma, channel }) {
  const steps = [];
  if (exposure) steps.push(curve("linearRGB", { type: "linear", slope: String(2 ** exposure), intercept: "0" }));
  if (gamma !== 1) steps.push(curve("sRGB", { type: "gamma", amplitude: "1", exponent: String(1 / gamma), offset: "0" }));
  if (channel) {
    const row = GREY[channel];
    const space = channel === "luminance" ? "linearRGB" : "sRGB";
    const alpha = channel === "alpha" ? "0 0 0 0 1" : "0 0 0 1 0";
    steps.push(primitive("feColorMatrix", space, { type: "matrix", values: `${row} ${row} ${row} ${alpha}` }));
  }
  return steps;
}

function showTone(view) {
  const { look, parts } = view;
  const steps = toneSteps(look);
  view.tone.replaceChildren(...steps);
  for (const layer of [parts.pictures, parts.under, parts.tiling, parts.panes, parts["lit-canvas"]]) layer.style.filter = steps.length ? "url(#tone)" : "";
  showBackdrop(view);
  for (const control of view.root.querySelectorAll("[data-look]:not([data-look=backdrop])")) {
    const value = look[control.dataset.look];
    if (control.type === "checkbox") control.checked = Boolean(value);
    else control.value = String(value);
    const shown = control.parentElement.querySelector("output");
    if (shown) shown.textContent = String(value);
  }
  const words = [look.exposure && `${look.exposure > 0 ? "+" : ""}${look.exposure} EV`, look.gamma !== 1 && `gamma ${look.gamma}`, CHOICES.channel[look.channel || "none"], look.lit && !isLit(view) && "not lit: no texture"];
  parts.state.textContent = words.filter(Boolean).join(" · ");
}

function onLook(view, control) {
  const value = control.type === "checkbox" ? control.checked : control.type === "range" ? Number(control.value) : control.value;
  view.look[control.dataset.look] = value;
  showTone(view);
  layout(view);
}

function cycleLook(view, name) {
  const choices = choicesOf(view, name);
  const values = Object.keys(choices);
  view.look[name] = values[(Math.max(0, values.indexOf(view.look[name])) + 1) % values.length];
  showTone(view);
  say(view, `${name}: ${choices[view.look[name]]}`);
}

function resetTone(view) {
  Object.assign(view.look, PLAIN, { across: 0, down: 0 });
  showTone(view);
  layout(view);
}

function toggleLooking(view) {
  const { looking } = view.parts;
  looking.hidden = !looking.hidden;
  view.root.querySelector("[data-act=looking]").setAttribute("aria-pressed", String(!looking.hidden));
  if (!looking.hidden) looking.querySelector("select").focus();
  layout(view);
}

/** Zooms by a factor, about a point of the window or the middle. */
function zoomBy(view, factor, origin = undefined) {
  const wanted = zoomNow(view) * factor;
  zoomTo(view, wanted < 0.1 ? 0 : Math.min(16, wanted), origin);
}

/** Three by three, to see whether a texture meets itself. */
function toggleTiles(view) {
  view.look.tiles = !view.look.tiles;
  Object.assign(view.look, { panes: 0, lit: false, x: 0, y: 0, zoom: 0 });
  compare(view, "");
  showPanes(view);
  showTiles(view);
  showLit(view);
  present(view);
  layout(view);
  say(view, view.look.tiles ? "Three by three" : "One");
}

function showTiles(view) {
  const item = onScreen(view.deck);
  const { parts, look } = view;
  parts.tiling.hidden = parts.seams.hidden = !look.tiles;
  parts.stage.classList.toggle("tiled", Boolean(look.tiles));
  parts["tile-controls"].hidden = !look.tiles;
  view.root.querySelector("[data-act=tiles]").setAttribute("aria-pressed", String(Boolean(look.tiles)));
  if (look.tiles && item) parts.tiling.style.backgroundImage = `url(${JSON.stringify(look.zoom ? item.original : item.preview)})`;
}

/** `size`: CSS pixels of one tile. */
function layoutTiles(view, size) {
  const { look, parts } = view;
  if (!look.tiles) return;
  showTiles(view);
  for (const layer of [parts.tiling, parts.seams]) {
    layer.style.backgroundSize = `${size[0]}px ${size[1]}px`;
    layer.style.backgroundPosition = `${Math.round(look.across * size[0])}px ${Math.round(look.down * size[1])}px`;
  }
  parts.seams.hidden = !look.seams;
}
