"""Every state that can be looked at has an address. What a link names and is not there is said, never passed over."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import Any

import streamlit as st

from review_app.appearance import escape_markdown
from review_app.resources import open_resources

BOUND: dict[str, Any] = {"bind": "query-params"}
"""Arguments of a widget whose value is in the address, under its key."""


def warn_unknown(name: str, options: Collection[str], *, what: str = "") -> None:
    """A warning where the address names a `name` that is not among the options; Streamlit would drop it silently."""
    asked = st.query_params.get(name)
    if asked and asked not in options:
        st.warning(
            f"There is no {what or name} “{escape_markdown(asked)}”, which the link asks for. All are shown instead."
        )


def find_linked_image(name: str = "image") -> str | None:
    """The image that the address names, None without one; a warning when there is no such image."""
    asked = st.query_params.get(name)
    if not asked:
        return None
    if why := explain_missing(asked):
        st.warning(escape_markdown(why), icon=":material/link_off:")
        return None
    return asked


def explain_missing(image: str) -> str:
    """Why a link to this image cannot be followed; empty when it can."""
    if not re.fullmatch("[0-9a-f]{64}", image):
        return f"The link names the image “{image[:80]}”, which is no image's digest; perhaps the link was cut off."
    if image not in open_resources().ledger.pictures([image]):
        return f"The link names image {image[:12]}, and there is no such image here: it was not made yet, or elsewhere."
    return ""


def link_key() -> None:
    """The key L copies the page's address. The Inbox has its own, which adds the image."""
    _copier()(key="copier", data={}, height=1)


@cache
def _copier() -> Any:
    return st.components.v2.component(
        "dailies_copy_link",
        html="<div data-part='said' role='status'></div>",
        css="""[data-part=said] { position: fixed; left: 50%; bottom: 24px; transform: translateX(-50%); z-index: 99999;
               padding: 6px 14px; border-radius: 8px; background: #1b2130; color: #fff; font-size: 14px; }
               [data-part=said]:empty { display: none; }""",
        js=COPY,
    )


COPY = """
async function copyLink(address) {
  try {
    await navigator.clipboard.writeText(address);
    return true;
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: address });
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

const listening = new WeakSet();
export default function mount({ parentElement }) {
  if (listening.has(parentElement)) return;
  listening.add(parentElement);
  const stop = new AbortController();
  document.addEventListener("keydown", async (event) => {
    if (event.key.toLowerCase() !== "l" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const at = event.composedPath()[0];
    if (at instanceof Element && at.closest("input, textarea, select, [contenteditable]")) return;
    const said = parentElement.querySelector("[data-part=said]");
    said.textContent = (await copyLink(location.href)) ? "Link copied" : location.href;
    setTimeout(() => { said.textContent = ""; }, 2500);
  }, { signal: stop.signal });
  return () => { listening.delete(parentElement); stop.abort(); };
}
"""
