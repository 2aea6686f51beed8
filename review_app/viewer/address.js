// @ts-check
// The address of what is shown: the filter is in it, and an image where one is asked for.

/** The filter is in the address, so that a reload or another person sees the same. */
function addressOfFilter(view) {
  history.replaceState(history.state, "", addressOf(view, ""));
}

function addressOf(view, image) {
  const address = new URL(location.href);
  address.search = "";
  for (const [name, value] of Object.entries({ ...view.filter, image })) if (value) address.searchParams.set(name, value);
  return address.href;
}

async function copyAddress(view) {
  const text = addressOf(view, onScreen(view.deck)?.id || "");
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  notice(view, copied ? { title: "Link copied", text: "" } : { title: "Link:", text });
}
