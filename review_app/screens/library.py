"""Library: what was approved, found again by words, likeness or colour; from each, the manifest for more like it."""

from __future__ import annotations

import streamlit as st

from review_app.frames import opened
from review_app.look import plain
from review_app.sheet import sheet
from review_app.studio import studio
from storage.library import LOOKED

MOST = 120
ledger = studio().ledger

st.title("Library")
with st.container(horizontal=True, vertical_alignment="bottom"):
    words = st.text_input("Words", placeholder="in the name or the prompt", icon=":material/search:", width=300)
    project = st.selectbox("Project", ledger.projects(), index=None, placeholder="All", width=220)
    every = st.toggle("All, not only approved", width="content")
    by_colour = st.toggle("By colour", width="content")
    colour = st.color_picker("Colour", "#c0392b", disabled=not by_colour, label_visibility="collapsed", width="content")
like = st.query_params.get("like")
phash = ledger.picture(like).image.phash if like else None
if like:
    left, right = st.columns([4, 1], vertical_alignment="center")
    if phash:
        left.caption("The most alike first.")
    else:
        left.caption(plain("That image has no perceptual hash: its checks were switched off."))
    if right.button("Show all again"):
        st.query_params.clear()
        st.rerun()
found = ledger.library(
    words.split(), project=project, approved=not every, like=phash, colour=colour if by_colour else None, limit=MOST
)
lines = [
    [
        {
            "id": one.image,
            "thumb": studio().links.to(one.thumb_key),
            "name": one.asset,
            "state": str(one.verdict or "waiting"),
            "about": f"{one.project} · {one.asset} · {one.variant}",
        }
    ]
    for one in found
]
empty = "Nothing was approved yet." if not (words or project or every or by_colour) else "Nothing matches."
for digest in sheet([{"title": "", "lines": lines}], key="library", empty=empty):
    opened(digest)
if len(found) == MOST:
    st.caption(f"The first {MOST} are shown.")
elif words or like or by_colour:
    st.caption(
        f"Looked for among the newest {LOOKED:,}" + (" of the project." if project else "; a project narrows it.")
    )
