// @ts-check
// What a reviewer draws on the picture: a box, a brush's strokes, an arrow; each with words. Vectors, as fractions of the
// image (schemas.review.Drawing), so that they fit every size of it.

const TOOLS = ["box", "brush", "arrow"];
const TOOL_WORD = { "": "Region", box: "Region: box", brush: "Region: brush", arrow: "Region: arrow" };
const APART = 0.004; // of the image between two points of a stroke that is kept
const MOST_POINTS = 500;
const MOST_STROKES = 100;

/** The next tool: none, box, brush, arrow. */
function nextTool(tool) {
  return ["", ...TOOLS][([...TOOLS].indexOf(tool) + 2) % 4];
}

/** @param {{tool: string, points: {x: number, y: number}[], thickness: number}} drag @param {number} ratio width / height
 * @returns {Region | null} null where it is too small to be meant */
function drawingOf({ tool, points, thickness }, ratio) {
  const [from, to] = [points[0], points[points.length - 1]];
  if (tool === "brush") return around({ shape: "brush", thickness, strokes: [thin(points)] }, ratio);
  const place = between(from, to);
  if (tool === "arrow") {
    if (Math.hypot(place.width, place.height) < 0.02) return null;
    return around({ shape: "arrow", thickness: 0, strokes: [[pair(from), pair(to)]] }, ratio);
  }
  return place.width < 0.01 || place.height < 0.01 ? null : { ...place, shape: "box", strokes: [], thickness: 0 };
}

/** Another stroke of the same brush belongs to the drawing before it. @returns {Region | null} null where it cannot */
function joined(before, drawn, ratio) {
  if (before?.shape !== "brush" || drawn.shape !== "brush" || before.thickness !== drawn.thickness) return null;
  if (before.criterion !== drawn.criterion || before.strokes.length >= MOST_STROKES) return null;
  return { ...before, ...around({ shape: "brush", thickness: before.thickness, strokes: [...before.strokes, ...drawn.strokes] }, ratio) };
}

/** The box around strokes, half of their thickness wider on each side. */
function around(drawn, ratio) {
  const points = drawn.strokes.flat();
  const reach = [drawn.thickness / 2, (drawn.thickness / 2) * ratio];
  const edge = (axis, pick, sign) => clamp(pick(...points.map((point) => point[axis])) + sign * reach[axis]);
  const from = { x: edge(0, Math.min, -1), y: edge(1, Math.min, -1) };
  const to = { x: edge(0, Math.max, 1), y: edge(1, Math.max, 1) };
  return { ...between(from, to), ...drawn };
}

/** Points that say something; as many as the server takes. */
function thin(points) {
  const kept = [pair(points[0])];
  for (const point of points) {
    const last = kept[kept.length - 1];
    if (Math.hypot(point.x - last[0], point.y - last[1]) >= APART && kept.length < MOST_POINTS) kept.push(pair(point));
  }
  return kept;
}

function pair({ x, y }) {
  return [round(x), round(y)];
}

function between(a, b) {
  const [x, y] = [round(Math.min(a.x, b.x)), round(Math.min(a.y, b.y))];
  return { x, y, width: round(Math.min(1 - x, Math.abs(a.x - b.x))), height: round(Math.min(1 - y, Math.abs(a.y - b.y))) };
}

function round(part) {
  return Math.round(part * 10_000) / 10_000;
}

function clamp(part) {
  return Math.min(1, Math.max(0, part));
}

/** A drawing as an element over the picture. `kind`: mine, or asked (of a decision before). */
function marking(region, kind, label, { width, height }) {
  const frame = box(region, `${kind} ${region.shape || "box"}`, label);
  if (!region.strokes?.length) return frame;
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("preserveAspectRatio", "none");
  for (const stroke of region.strokes) {
    const points = stroke.map(([x, y]) => [x * width, y * height]);
    const lines = region.shape === "arrow" ? [points, headOf(points, width)] : [points.length > 1 ? points : [points[0], points[0]]];
    for (const cls of region.shape === "arrow" ? ["casing", "line"] : ["paint"]) {
      for (const line of lines) picture.append(polyline(line, cls, region.thickness * width));
    }
  }
  const whole = make("div", { cls: `marking ${kind}` }, frame);
  whole.prepend(picture);
  return whole;
}

function polyline(points, cls, thickness) {
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  line.setAttribute("class", cls);
  if (thickness) line.setAttribute("stroke-width", String(thickness));
  return line;
}

/** Two short lines at the arrow's head. */
function headOf([tail, head], width) {
  const angle = Math.atan2(head[1] - tail[1], head[0] - tail[0]);
  const length = Math.min(width * 0.05, Math.hypot(head[0] - tail[0], head[1] - tail[1]) / 2);
  const side = (turn) => [head[0] - length * Math.cos(angle + turn), head[1] - length * Math.sin(angle + turn)];
  return [side(0.5), head, side(-0.5)];
}
