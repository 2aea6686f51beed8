// @ts-check
// Pixel values and the histogram, from the original. It comes from the app's own address, so that it can be read.

const BINS = 256;

/** Counts of red, green, blue and luma. @param {Uint8ClampedArray} rgba @returns {Uint32Array[]} */
function countValues(rgba) {
  const counts = [0, 1, 2, 3].map(() => new Uint32Array(BINS));
  for (let at = 0; at < rgba.length; at += 4) {
    const [red, green, blue] = [rgba[at], rgba[at + 1], rgba[at + 2]];
    counts[0][red] += 1;
    counts[1][green] += 1;
    counts[2][blue] += 1;
    counts[3][Math.round(0.2126 * red + 0.7152 * green + 0.0722 * blue)] += 1;
  }
  return counts;
}

function toggleInspect(view) {
  view.look.inspects = !view.look.inspects;
  inspect(view);
  if (view.look.inspects && view.parts.looking.hidden) toggleLooking(view);
}

/** Shows the histogram of the image on screen, or hides it. Only one image's pixels are held. */
function inspect(view) {
  const item = onScreen(view.deck);
  const { parts, look } = view;
  parts.histogram.hidden = !look.inspects;
  parts.pixel.textContent = "";
  view.root.querySelector("[data-act=inspect]").setAttribute("aria-pressed", String(Boolean(look.inspects)));
  if (!look.inspects || !item) return void (view.pixels = null);
  if (view.pixels?.id === item.id) return;
  view.pixels = null;
  const image = element(view.pool, item.original);
  const ready = () => onScreen(view.deck) === item && view.look.inspects && readPixels(view, item, image);
  if (isLoaded(image)) setTimeout(ready, 120); // the key's paint comes first
  else image.addEventListener("load", () => setTimeout(ready, 0), { once: true });
}

function readPixels(view, item, image) {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  try {
    context.drawImage(image, 0, 0);
    view.pixels = { id: item.id, width, height, data: context.getImageData(0, 0, width, height).data };
  } catch {
    view.parts.pixel.textContent = "The pixels of this picture cannot be read.";
    return;
  }
  drawHistogram(view.parts.histogram, countValues(view.pixels.data));
}

/** The square root of the counts, so that a small peak shows beside a large one. */
function drawHistogram(canvas, counts) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  context.globalCompositeOperation = "lighter";
  const top = Math.sqrt(Math.max(...counts.flatMap((channel) => [...channel])));
  ["#d33", "#2a2", "#36f", "#666"].forEach((colour, channel) => {
    context.fillStyle = colour;
    for (let bin = 0; bin < BINS; bin += 1) {
      const tall = (Math.sqrt(counts[channel][bin]) / top) * height;
      context.fillRect((bin * width) / BINS, height - tall, width / BINS, tall);
    }
  });
}

/** How far a colour is from the palette, where the manifest has one. */
function distanceWords(item, red, green, blue) {
  if (!item?.palette) return "";
  const { colour, distance } = nearestColour(labOf(red, green, blue), item.palette.colours);
  return ` · ${distance.toFixed(1)} from ${colour}`;
}

/** The value under the pointer; `point` null: it has left. */
function readPixel(view, point) {
  if (!view.pixels) return;
  if (!point) return void (view.parts.pixel.textContent = "");
  const { width, height, data } = view.pixels;
  const edge = view.parts.canvas.getBoundingClientRect();
  const { look } = view;
  const part = (where, start, side, shift) => {
    const fraction = (where - start) / side - (look.tiles ? shift : 0);
    return look.tiles ? fraction - Math.floor(fraction) : fraction;
  };
  const x = Math.floor(part(point.clientX, edge.left, edge.width, look.across) * width);
  const y = Math.floor(part(point.clientY, edge.top, edge.height, look.down) * height);
  if (x < 0 || y < 0 || x >= width || y >= height) return void (view.parts.pixel.textContent = "");
  const [red, green, blue, alpha] = data.subarray((y * width + x) * 4, (y * width + x) * 4 + 4);
  const hex = [red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("");
  view.parts.pixel.textContent = `${x}, ${y} · #${hex} · ${red} ${green} ${blue}${alpha < 255 ? ` · alpha ${alpha}` : ""}${distanceWords(onScreen(view.deck), red, green, blue)}`;
  view.parts.swatch.style.background = `#${hex}`;
}
