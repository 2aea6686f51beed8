"""What all pages share to the eye, and how text that people wrote is shown: as text, never as markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

STYLE = """
<style>
  .stMainBlockContainer { padding: 4rem 1.6rem 1rem; }
  .st-key-remember, .stElementContainer:has(> .stHtml > style) { position: absolute; width: 1px; overflow: hidden; }
  .stAppDeployButton, footer { display: none; }
  [data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
  [data-testid="stMetricValue"], [data-testid="stMetricLabel"] * { text-overflow: clip; overflow: visible; }
  [data-testid="stMetricValue"] { font-size: 1.7rem; }
  [data-testid="stCaptionContainer"] p { color: color-mix(in srgb, currentColor, CanvasText 50%); }
  [data-testid="stCaptionContainer"] code { color: inherit; background: none; padding: 0; font-size: 1em; }
  @media (max-width: 900px) {
    .st-key-assets [data-testid="stHorizontalBlock"] { flex-wrap: wrap; }
    .st-key-assets [data-testid="stColumn"] { min-width: 100%; }
  }
  h3 { font-size: 1.15rem !important; padding: .4rem 0 .2rem !important; }
  .stTextArea textarea { font-family: ui-monospace, monospace; font-size: .85rem; }
  .st-key-say .stTextArea textarea { font: inherit; }
  .st-key-feed [data-testid="stPageLink"] p { white-space: normal; overflow-wrap: anywhere; }
  h1 { font-size: 1.7rem !important; padding: 0 0 .4rem !important; }
</style>
"""
MARKUP = str.maketrans({sign: "\\" + sign for sign in "\\`*_{}[]()<>#+-.!|~$:@&^=\"'"})


def apply_style() -> None:
    st.html(STYLE)


LINKED = re.compile(r"(?i)(?<=http)(?=s?:)|(?<=www)(?=\.)|(?=@)")
"""Where addresses would become links although every sign is escaped: that happens to the text after the signs are."""


def escape_markdown(text: object) -> str:
    """Text from outside for places that read Markdown (labels, captions): nothing in it is markup any more. Addresses
    get an invisible joiner, without which they would be links."""
    return LINKED.sub("\u2060", " ".join(str(text).split())).translate(MARKUP)


def show_figures() -> Any:
    """A row of `figure`s, which breaks where the screen is narrow and cuts none of them."""
    return st.container(horizontal=True, gap="medium")


def show_figure(label: str, value: object, *, help: str | None = None) -> None:
    st.metric(label, str(value), help=help, width="content")


def format_age(when: datetime | None) -> str:
    """Short words for a time in the past."""
    if when is None:
        return ""
    seconds = (datetime.now(UTC) - when).total_seconds()
    if seconds < 90:
        return "just now"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    if seconds < 129_600:
        return f"{seconds / 3600:.0f} h ago"
    return when.strftime("%-d %b %Y")


def show_picture(url: str, alt: str, *, over: str = "") -> None:
    """A picture by its link. `st.image` takes only absolute URLs, and keeps everything else in the server's memory.

    `over`: HTML to lie over it, as review_app/markings.py makes it.
    """
    picture = f'<img src="{escape(url)}" alt="{escape(alt)}" style="width: 100%; display: block; border-radius: 8px">'
    st.html(f'<div style="position: relative">{picture}{over}</div>')


def show_outage(trouble: Exception) -> None:
    st.error(f"Dailies cannot go on: {escape_markdown(trouble)}", icon=":material/cloud_off:")
    st.button("Try again", type="primary")
