"""Library: what was approved, found again by words, likeness or colour; from each, the manifest for more like it."""

from __future__ import annotations

import streamlit as st

from review_app.addresses import BOUND, find_linked_image, warn_unknown
from review_app.appearance import escape_markdown
from review_app.frames import show_dialog
from review_app.resources import open_resources
from review_app.sheet import sheet
from storage.ledger.library import LOOKED

MOST = 120
ledger = open_resources().ledger

st.title("Library")
projects = ledger.projects()
warn_unknown("project", projects)
with st.container(horizontal=True, vertical_alignment="bottom"):
    words = st.text_input(
        "Words", placeholder="in the name or the prompt", icon=":material/search:", width=300, key="words", **BOUND
    )
    project = st.selectbox("Project", projects, index=None, placeholder="All", width=220, key="project", **BOUND)
    every = st.toggle("All, not only approved", width="content", key="every", **BOUND)
    by_colour = st.toggle("By colour", width="content", key="by_colour", **BOUND)
    colour = st.color_picker(
        "Colour",
        "#c0392b",
        disabled=not by_colour,
        label_visibility="collapsed",
        width="content",
        key="colour",
        **BOUND,
    )
if (image := find_linked_image()) and st.session_state.get("linked") != image:
    st.session_state["linked"] = image
    show_dialog(image)
like = find_linked_image("like")
phash = ledger.picture(like).image.phash if like else None
if like:
    left, right = st.columns([4, 1], vertical_alignment="center")
    if phash:
        left.caption("The most alike first.")
    else:
        left.caption(escape_markdown("That image has no perceptual hash: its checks were switched off."))
    if right.button("Show all again"):
        del st.query_params["like"]
        st.rerun()
found = ledger.library(
    words.split(), project=project, approved=not every, like=phash, colour=colour if by_colour else None, limit=MOST
)
lines = [
    [
        {
            "id": one.image,
            "thumb": open_resources().links.to(one.thumb_key),
            "name": one.asset,
            "state": str(one.verdict or "waiting"),
            "about": f"{one.project} · {one.asset} · {one.variant}",
        }
    ]
    for one in found
]
if words or project or every or by_colour:
    empty = "Nothing matches. Fewer words, another colour or all projects find more."
else:
    empty = "Nothing was approved yet. What is approved in the Inbox is found here."
for digest in sheet([{"title": "", "lines": lines}], key="library", empty=empty):
    show_dialog(digest)
if len(found) == MOST:
    st.caption(f"The first {MOST} are shown.")
elif words or like or by_colour:
    st.caption(
        f"Looked for among the newest {LOOKED:,}" + (" of the project." if project else "; a project narrows it.")
    )
