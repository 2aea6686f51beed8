// @ts-check
// Two or four pictures side by side, zoomed and moved together: the image, and what stands beside it (its parent,
// condition, source, and its siblings of the same asset).

/** Columns and rows of the stage. @returns {[number, number]} */
function paneGrid(view) {
  if (!view.look.panes) return [1, 1];
  const { clientWidth, clientHeight } = view.parts.stage;
  if (view.look.panes === 4) return [2, 2];
  return clientWidth >= clientHeight ? [2, 1] : [1, 2];
}

/** One, two, four. */
function cyclePanes(view) {
  const item = onScreen(view.deck);
  const next = { 0: 2, 2: 4, 4: 0 }[view.look.panes];
  Object.assign(view.look, { panes: next, tiles: false, lit: false, x: 0, y: 0, zoom: 0 });
  if (next && item && !item.kin) flush(view.outbox); // asks for the siblings
  compare(view, "");
  showTiles(view);
  showPanes(view);
  showLit(view);
  layout(view);
  say(view, next ? `${next} side by side` : "One");
}

/** The siblings have come: they stand beside the image from now on. */
function addKin(view, kin) {
  const item = kin && view.deck.items.get(kin.id);
  if (!item || item.kin) return;
  item.kin = true;
  item.beside.push(...kin.pictures);
  if (onScreen(view.deck) !== item) return;
  showBeside(view, item);
  showPanes(view);
  layout(view);
}

/** Which pictures beside the image are in the panes: those that were chosen, then the first. */
function paneChoice(view, item) {
  const chosen = (view.paneChoice?.id === item.id ? view.paneChoice.numbers : []).filter((number) => number < item.beside.length);
  const rest = item.beside.map((_, number) => number).filter((number) => !chosen.includes(number));
  return [...chosen, ...rest].slice(0, Math.max(0, view.look.panes - 1));
}

/** A thumbnail beside the image was pressed while panes are open: it takes the place of the oldest one. */
function choosePane(view, number) {
  const item = onScreen(view.deck);
  const before = view.paneChoice?.id === item.id ? view.paneChoice.numbers : [];
  view.paneChoice = { id: item.id, numbers: [number, ...before.filter((one) => one !== number)].slice(0, 3) };
  showPanes(view);
  showBeside(view, item);
  layout(view);
}

function showPanes(view) {
  const item = onScreen(view.deck);
  const { panes, stage, compare: group } = view.parts;
  const open = view.look.panes && item;
  panes.hidden = !open;
  stage.classList.toggle("paned", Boolean(open));
  view.root.querySelector("[data-act=panes]").setAttribute("aria-pressed", String(Boolean(view.look.panes)));
  if (!open) return void panes.replaceChildren();
  const [columns, rows] = paneGrid(view);
  Object.assign(panes.style, { gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` });
  const others = paneChoice(view, item).map((number) => item.beside[number]);
  const pictures = [{ label: "this image", url: view.look.zoom ? item.original : item.preview }, ...others];
  panes.replaceChildren(...pictures.map(({ label, url }) => make("figure", { cls: "pane" }, make("img", { src: url, alt: label, draggable: "false" }), make("figcaption", { text: label }))));
  if (others.length + 1 < view.look.panes) panes.append(make("figure", { cls: "pane" }, make("p", { text: item.kin ? "Nothing else stands beside it." : "One moment" })));
  group.hidden = false;
}

/** `scale`: CSS pixels per pixel of the image on screen. All panes show the same part. */
function layoutPanes(view, scale) {
  const item = onScreen(view.deck);
  if (!view.look.panes || !item) return;
  const { x, y, zoom } = view.look;
  const first = view.parts.panes.querySelector("img");
  if (first && zoom && first.getAttribute("src") !== item.original) first.src = item.original;
  for (const image of view.parts.panes.querySelectorAll("img")) {
    Object.assign(image.style, {
      width: `${item.width * scale}px`,
      height: `${item.height * scale}px`,
      transform: `translate(calc(-50% + ${x}px), calc(-50% + ${y}px))`,
    });
  }
}
