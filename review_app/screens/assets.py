"""Assets: what each was asked for and what became of it, as contact sheets with every line of takes."""

from __future__ import annotations

import streamlit as st

from review_app.frames import lines_of, opened, tile_of
from review_app.look import plain
from review_app.sheet import sheet
from review_app.studio import studio

ALL = "All"
SHOWN = 400

ledger = studio().ledger
st.title("Assets")
projects = ledger.projects()
if not projects:
    st.info("Nothing was ordered yet. Send a manifest in on the Submit page.")
    st.stop()

project = projects[0]
if len(projects) > 1:
    wanted = st.query_params.get("project", projects[0])
    start = projects.index(wanted) if wanted in projects else 0
    project = st.selectbox("Project", projects, index=start, width=360)
counts = ledger.assets(project)
if not counts:
    st.info("Its manifest waits for the next night, which plans it.")
    st.stop()

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
        selection_default={"selection": {"rows": [0]}},
        on_select="rerun",
        height=min(640, 38 + 35 * len(table)),
        key=f"assets-{project}",
        column_config={"Asset": st.column_config.TextColumn(width=140, pinned=True)},
    )
rows = event.selection.rows or [0]
count = counts[min(rows[0], len(counts) - 1)]
with right:
    st.subheader(plain(count.asset), anchor=False)
    frames = ledger.contact_sheet(project, count.asset, limit=SHOWN)
    lines = [[tile_of(frame) for frame in line] for line in lines_of(frames)]
    if count.asked > SHOWN:
        st.caption(f"The first {SHOWN} of {count.asked} are shown.")
    for digest in sheet([{"title": "", "lines": lines}], key=f"sheet-{project}-{count.asset}"):
        opened(digest)
