// @ts-check
// Draws the sheet; a click opens one image, or marks several. All text by textContent.

const chosen = new WeakMap();
const STATES = { approve: "approved", reject: "rejected", retake: "sent back", waiting: "to review", planned: "not made yet" };

export default function mount({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector("[data-part=root]");
  const marked = chosen.get(parentElement) || new Set();
  chosen.set(parentElement, marked);
  const shown = new Set(data.groups.flatMap((group) => group.lines.flat().map((tile) => tile.id)));
  for (const id of marked) if (!shown.has(id)) marked.delete(id);
  const choose = (tile, button) => {
    if (!data.many) return setTriggerValue("open", { id: tile.id, at: Date.now() });
    if (!marked.delete(tile.id)) marked.add(tile.id);
    button.setAttribute("aria-pressed", String(marked.has(tile.id)));
    setStateValue("chosen", { ids: [...marked] });
  };
  const focused = parentElement.activeElement?.dataset?.id;
  const nodes = data.groups.flatMap((group) => {
    const lines = document.createElement("div");
    lines.className = "lines";
    lines.append(...group.lines.map((line) => drawLine(line, data.many, marked, choose)));
    if (!group.title) return [lines];
    const title = document.createElement("h3");
    title.textContent = group.title;
    return [title, lines];
  });
  if (!shown.size) {
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = data.empty;
    nodes.push(empty);
  }
  root.replaceChildren(...nodes);
  if (focused) [...root.querySelectorAll("[data-id]")].find((node) => node.dataset.id === focused)?.focus();
}

function drawLine(line, many, marked, choose) {
  const row = document.createElement("div");
  row.className = line.length > 1 ? "line long" : "line";
  line.forEach((tile, index) => {
    if (index) {
      const arrow = document.createElement("span");
      arrow.className = "arrow";
      arrow.textContent = "→";
      row.append(arrow);
    }
    row.append(drawTile(tile, many, marked, choose));
  });
  return row;
}

function drawTile(tile, many, marked, choose) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `tile ${tile.state}`;
  button.dataset.id = tile.id;
  button.disabled = !tile.thumb;
  if (many) button.setAttribute("aria-pressed", String(marked.has(tile.id)));
  const frame = document.createElement("span");
  frame.className = "frame";
  if (tile.thumb) {
    const image = document.createElement("img");
    Object.assign(image, { src: tile.thumb, alt: "", loading: "lazy", decoding: "async" });
    frame.append(image);
  } else frame.textContent = "not made yet";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = tile.name;
  name.title = tile.about || tile.name;
  const state = document.createElement("span");
  state.className = "state";
  state.textContent = STATES[tile.state] || tile.state;
  if (tile.comments) state.append(drawComments(tile));
  button.append(frame, name, state);
  button.addEventListener("click", () => choose(tile, button));
  return button;
}

function drawComments(tile) {
  const count = document.createElement("span");
  count.className = tile.unread ? "comments unread" : "comments";
  count.textContent = String(tile.comments);
  const words = `${tile.comments} comment${tile.comments > 1 ? "s" : ""}${tile.unread ? `, ${tile.unread} new` : ""}`;
  count.setAttribute("aria-label", words);
  count.setAttribute("role", "img");
  count.title = words;
  return count;
}
