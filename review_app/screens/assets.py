"""Assets: what each was asked for and what became of it, as contact sheets with every line of takes."""

from __future__ import annotations

import streamlit as st

from review_app.addresses import BOUND, find_linked_image, warn_unknown
from review_app.appearance import escape_markdown
from review_app.auth import current_user
from review_app.frames import group_by_line, make_tile, show_dialog
from review_app.resources import open_resources
from review_app.sheet import sheet

ALL = "All"
SHOWN = 400

ledger = open_resources().ledger
person = current_user() or st.stop()
st.title("Assets")
projects = ledger.projects()
if not projects:
    st.info("Nothing was ordered yet. Send a manifest in on the Submit page.")
    st.stop()

project = projects[0]
if len(projects) > 1:
    warn_unknown("project", projects)
    project = st.selectbox("Project", projects, width=360, key="project", **BOUND)
counts = ledger.assets(project)
if not counts:
    st.info("Its manifest waits for the next night, which plans it.")
    st.stop()


def _linked_row() -> int:
    """Of the asset that the address names; the first where it names none."""
    names = [count.asset for count in counts]
    warn_unknown("asset", names)
    asked = st.query_params.get("asset", "")
    return names.index(asked) if asked in names else 0


left, right = st.container(key="assets").columns([5, 7], gap="medium")
with left:
    table = [
        {
            "Asset": count.asset,
            "Asked": count.asked,
            "Made": count.made,
            "To review": count.waiting,
            "Approved": count.approved,
            "Rejected": count.rejected,
            "Sent back": count.sent_back,
            "Delivered": count.delivered,
        }
        for count in counts
    ]
    event = st.dataframe(
        table,
        hide_index=True,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [_linked_row()]}},
        on_select="rerun",
        height=min(640, 38 + 35 * len(table)),
        key=f"assets-{project}",
        column_config={"Asset": st.column_config.TextColumn(width=140, pinned=True)},
    )
rows = event.selection.rows or [0]
count = counts[min(rows[0], len(counts) - 1)]
st.query_params["asset"] = count.asset
with right:
    st.subheader(escape_markdown(count.asset), anchor=False)
    frames = ledger.contact_sheet(project, count.asset, limit=SHOWN)
    comments = ledger.comment_counts([frame.digest for frame in frames], reader=person.name, blind_to=person.blind_to)
    lines = [
        [make_tile(frame, comments=comments.get(frame.digest)) for frame in line] for line in group_by_line(frames)
    ]
    if count.asked > SHOWN:
        st.caption(f"The first {SHOWN} of {count.asked} are shown.")
    if (image := find_linked_image()) and st.session_state.get("linked") != image:
        st.session_state["linked"] = image
        show_dialog(image)
    for digest in sheet([{"title": "", "lines": lines}], key=f"sheet-{project}-{count.asset}"):
        show_dialog(digest)
