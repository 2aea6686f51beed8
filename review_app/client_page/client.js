// @ts-check
// The page of a client link. Its secret is what stands behind the # of the address; it goes out as a header only.

/**
 * @typedef {{number: number, asset: string, variant: string, take: number, width: number, height: number,
 *   revision: number, verdict: string, may: string[], said: string[]}} Shown
 */

const secret = location.hash.slice(1);
const state = { images: /** @type {Shown[]} */ ([]), at: 0, may: "look", asks: "comment", busy: false };
const pictures = new Map();
const drafts = new Map();

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);

/** @param {string} tag @param {Record<string, any>} [given] @returns {any} */
function make(tag, given = {}) {
  return Object.assign(document.createElement(tag), given);
}

/** @param {string} path @param {any} [body] */
async function ask(path, body) {
  const sent = { method: body === undefined ? "GET" : "POST", headers: { "X-Dailies-Client": secret, "Content-Type": "application/json" } };
  const answer = await fetch(`/client/${path}`, body === undefined ? sent : { ...sent, body: JSON.stringify(body) });
  if (answer.ok) return answer;
  const { wrong } = await answer.json().catch(() => ({ wrong: "The studio's server does not answer. Try again a little later." }));
  throw new Error(wrong);
}

/** @param {unknown} error */
function complain(error) {
  part("wrong").textContent = error instanceof TypeError ? "The studio's server cannot be reached. Try again a little later." : error instanceof Error ? error.message : "";
  part("wrong").hidden = !error;
}

/** @param {number} number @param {string} size @returns {Promise<string>} */
function picture(number, size) {
  const key = `${number}/${size}`;
  if (!pictures.has(key)) {
    const loaded = ask(`picture/${key}`).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
    pictures.set(key, loaded);
    loaded.catch(() => pictures.delete(key));
  }
  return pictures.get(key);
}

async function open() {
  const found = await ask("open", {}).then((answer) => answer.json());
  Object.assign(state, { images: found.images, may: found.may });
  document.title = found.name;
  part("name").textContent = found.name;
  part("about").textContent = `For ${found.client}, until ${found.until}`;
  part("main").hidden = false;
  part("strip").replaceChildren(...state.images.map(thumbnail));
  show(Math.max(0, state.images.findIndex((one) => one.may.includes("approve"))));
}

/** @param {Shown} one */
function thumbnail(one) {
  const button = make("button", { type: "button", onclick: () => show(one.number) });
  const image = make("img", { alt: "" });
  button.append(image);
  new IntersectionObserver((seen, watcher) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    picture(one.number, "thumb").then((url) => { image.src = url; }, complain);
  }).observe(button);
  return button;
}

/** @param {number} at */
function show(at) {
  const one = state.images[at];
  if (!one) return;
  Object.assign(state, { at, asks: "comment" });
  part("picture").alt = `${one.asset}, ${one.variant}`;
  part("picture").removeAttribute("src");
  picture(at, "preview").then((url) => { if (state.at === at) part("picture").src = url; }, complain);
  if (at + 1 < state.images.length) picture(at + 1, "preview").catch(() => {});
  part("words").value = drafts.get(at) || "";
  refresh();
  part("strip").children[at].scrollIntoView({ block: "nearest", inline: "nearest" });
}

function refresh() {
  const one = state.images[state.at];
  part("title").textContent = one.asset;
  part("facts").textContent = [one.variant, one.take > 1 ? `take ${one.take}` : "", `${one.width} × ${one.height}`].filter(Boolean).join(" · ");
  part("state").className = one.verdict;
  part("state").textContent = one.verdict === "approve" ? "You approved this." : one.verdict === "reject" ? "You asked for something different." : "";
  part("buttons").replaceChildren(...one.may.map(decider));
  part("say").hidden = state.may === "look";
  part("ask").textContent = state.asks === "reject" ? "What should be different?" : "Your words to the studio";
  part("send").textContent = state.asks === "reject" ? "Send: not yet" : "Send";
  part("said").replaceChildren(...one.said.map((text) => make("li", { textContent: text })));
  part("keys").textContent = state.may === "decide" ? ", A approves, N says not yet" : "";
  part("back").disabled = state.at === 0;
  part("next").disabled = state.at === state.images.length - 1;
  for (const [number, button] of [...part("strip").children].entries()) {
    const { asset, variant, verdict } = state.images[number];
    button.className = verdict;
    button.setAttribute("aria-label", [asset, variant, { approve: "approved", reject: "not yet" }[verdict]].filter(Boolean).join(", "));
    button.setAttribute("aria-current", String(number === state.at));
  }
  const left = state.images.filter((each) => each.may.includes("approve")).length;
  const many = state.images.length;
  part("progress").textContent = state.may === "decide" ? (left ? `${left} of ${many} wait for you` : "Nothing waits for you. Thank you!") : `${state.at + 1} of ${many}`;
}

/** @param {string} act */
function decider(act) {
  const words = { approve: "Approve", reject: "Not yet …", undo: "Take it back" };
  return make("button", { type: "button", className: act, textContent: words[act], onclick: () => choose(act) });
}

/** @param {string} act */
function choose(act) {
  const one = state.images[state.at];
  if (!one.may.includes(act)) return;
  if (act !== "reject") return void post(act, "");
  state.asks = "reject";
  refresh();
  part("words").focus();
}

/** @param {string} act @param {string} text */
async function post(act, text) {
  if (state.busy) return;
  state.busy = true;
  const at = state.at;
  const one = state.images[at];
  const token = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const after = await ask("act", { number: at, act, revision: one.revision, text, token }).then((answer) => answer.json());
    state.images[at] = { ...after, said: text ? [...one.said, text] : one.said };
    drafts.delete(at);
    complain(null);
    const next = state.images.findIndex((each, number) => number > at && each.may.includes("approve"));
    if (state.at === at) show(act !== "undo" && act !== "comment" && next >= 0 ? next : at);
    else refresh();
  } catch (error) {
    complain(error);
  } finally {
    state.busy = false;
  }
}

part("say").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const text = part("words").value.trim();
  if (text) post(state.asks, text);
  else part("words").focus();
});
part("words").addEventListener("input", () => drafts.set(state.at, part("words").value));
part("back").onclick = () => show(state.at - 1);
part("next").onclick = () => show(state.at + 1);
document.addEventListener("keydown", (event) => {
  const writes = event.target instanceof HTMLTextAreaElement;
  if (event.key === "Escape" && writes) return void event.target.blur();
  if (writes || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const keys = { ArrowRight: () => show(state.at + 1), ArrowLeft: () => show(state.at - 1), a: () => choose("approve"), n: () => choose("reject"), u: () => choose("undo") };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act && state.images.length) {
    event.preventDefault();
    act();
  }
});
window.addEventListener("hashchange", () => location.reload());
open().catch((error) => {
  part("name").textContent = "This page cannot be shown";
  complain(error);
});
