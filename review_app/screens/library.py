"""Library: what was approved, found by words and beyond them, likeness or colour; of each, the manifest for more."""

from __future__ import annotations

from typing import Any

import streamlit as st

from review_app.addresses import BOUND, find_linked_image, warn_unknown
from review_app.frames import show_dialog
from review_app.likeness import MOST, explain_words, list_beyond_words, make_page_tile, show_likeness
from review_app.resources import open_resources
from review_app.sheet import sheet
from review_app.uploads import ENDINGS, show_upload
from storage.ledger import LibraryPage
from storage.ledger.library import LOOKED

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
    with st.popover("By a picture", icon=":material/image_search:", width="content"):
        upload = st.file_uploader(
            "A picture to search by",
            type=ENDINGS,
            max_upload_size=max(1, open_resources().settings.limits.source_bytes // 2**20),
            help="It is compared with the images here, and not stored.",
        )
if (image := find_linked_image()) and st.session_state.get("linked") != image:
    st.session_state["linked"] = image
    show_dialog(image)
filters: dict[str, Any] = {"project": project, "approved": not every, "colour": colour if by_colour else None}
like = find_linked_image("like") if upload is None else None
groups: list[tuple[str, list[LibraryPage]]] = []
if upload is not None:
    answer = show_upload(upload, words.split(), **filters)
    if answer is not None:
        groups = answer
    else:
        st.stop()
elif like:
    groups = show_likeness(like, words.split(), **filters)
else:
    groups = [("", ledger.library(words.split(), **filters, limit=MOST))]
    if words.split() and len(groups[0][1]) < MOST:
        groups.append(list_beyond_words(words, **filters))
found = [one for _, pages in groups for one in pages]
if like or upload is not None:
    empty = "Nothing is like it among what is shown. All projects, all images or another colour find more."
elif words or project or every or by_colour:
    empty = "Nothing matches. Fewer words, another colour or all projects find more."
else:
    empty = "Nothing was approved yet. What is approved in the Inbox is found here."
shown = [{"title": title, "lines": [[make_page_tile(one)] for one in pages]} for title, pages in groups if pages]
for digest in sheet(shown, key="library", empty=empty):
    show_dialog(digest)
if len(found) >= MOST:
    st.caption(f"The first {MOST} are shown.")
elif (words or by_colour) and not like and upload is None:
    newest = f"Looked for among the newest {LOOKED:,}" + (" of the project." if project else "; a project narrows it.")
    st.caption(f"{newest} {explain_words(groups[-1][0])}" if words else newest)
