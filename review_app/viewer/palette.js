// @ts-check
// The list of keys, in which every command is found by name and run by Enter or a click; the other pages are in it too.

/** Builds the rows: what each key does, and where the other pages are. */
function buildPalette(view) {
  const keys = KEYS.filter(([, , , what]) => what).map(([, name, key, what]) => ({ name, key, what, page: "" }));
  const pages = [...document.querySelectorAll("a[href]")].filter((link) => link.closest("[data-testid=stHeader]"));
  const places = pages.map((link) => ({ name: "", key: "", what: `Go to ${link.textContent}`, page: link.getAttribute("href") || "" }));
  view.commands = [...keys, ...places];
  view.parts.keys.replaceChildren(...view.commands.map(commandRow));
}

function commandRow({ name, key, what, page }, number) {
  const runs = Boolean(name || page);
  const row = make(runs ? "button" : "div", { cls: "command", ...(runs ? { type: "button", "data-command": String(number) } : {}) });
  row.append(make("span", { cls: "key" }, ...(key ? [make("kbd", { text: key })] : [])), make("span", { text: what }));
  return row;
}

function openPalette(view) {
  buildPalette(view);
  open(view, "help");
  view.parts.find.value = "";
  findCommands(view);
  view.parts.find.focus();
}

/** Shows what has every word that was typed; the first is what Enter runs. */
function findCommands(view) {
  const words = view.parts.find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [number, row] of [...view.parts.keys.children].entries()) {
    const { key, what } = view.commands[number];
    row.hidden = !words.every((word) => `${key} ${what}`.toLowerCase().includes(word));
  }
  const found = listFound(view);
  view.parts.none.textContent = found.length ? "" : "No command is called so.";
  chooseCommand(view, words.length ? found[0] : undefined);
}

function listFound(view) {
  return [...view.parts.keys.children].filter((row) => !row.hidden && row.dataset.command);
}

function chooseCommand(view, row) {
  for (const other of view.parts.keys.children) other.classList.toggle("chosen", other === row);
  row?.scrollIntoView({ block: "nearest" });
  if (row) say(view, row.lastChild.textContent);
}

function paletteKey(view, event, key) {
  const found = listFound(view);
  const at = found.findIndex((row) => row.classList.contains("chosen"));
  if (key === "arrowdown" || key === "arrowup") {
    event.preventDefault();
    const step = key === "arrowdown" ? 1 : -1;
    return chooseCommand(view, found[(Math.max(at, step > 0 ? -1 : 0) + step + found.length) % found.length]);
  }
  if (key !== "enter" || !typing(event) || at < 0) return;
  event.preventDefault();
  runCommand(view, Number(found[at].dataset.command), event);
}

function runCommand(view, number, event) {
  const { name, page } = view.commands[number];
  close(view);
  if (name) return act(view, name, event);
  const link = [...document.querySelectorAll("a[href]")].find((one) => one.getAttribute("href") === page);
  if (link instanceof HTMLElement) link.click(); // as in the menu, so that the session stays
}
