"""Decisions: the audit trail. Nothing is ever removed from it; an undo is a line too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import streamlit as st

from review_app.addresses import BOUND, find_linked_image, warn_unknown
from review_app.auth import current_user
from review_app.export import as_csv, as_json
from review_app.frames import show_dialog
from review_app.resources import open_resources
from schemas.review import Verdict

PAGE = 500
EXPORTED = 200_000
"""Newest decisions that an export holds; the days of the filter reach older ones."""
FIELDS = (
    "when", "project", "asset", "variant", "verdict", "stands", "reviewer", "step", "reasons", "marks", "note",
    "seconds", "revision", "drawings", "image",
)  # fmt: skip


def row_of(one: Any) -> dict[str, Any]:
    decision = one.decision
    return {
        "when": decision.decided_at,
        "project": one.project,
        "asset": one.asset,
        "variant": one.variant,
        "verdict": str(decision.verdict),
        "stands": one.stands,
        "reviewer": decision.reviewer,
        "step": decision.step or "",
        "reasons": ", ".join(decision.reasons),
        "marks": ", ".join(f"{criterion} {mark}" for criterion, mark in decision.marks.items()),
        "note": decision.note,
        "seconds": decision.seconds,
        "revision": decision.revision,
        "drawings": json.dumps(decision.regions) if decision.regions else "",
        "image": decision.image,
    }


ledger = open_resources().ledger
person = current_user() or st.stop()
st.title("Decisions")
projects, reviewers = ledger.projects(), ledger.reviewers()
verdicts = [str(name) for name in Verdict]
for name, options in (("project", projects), ("decided_by", reviewers), ("verdict", verdicts)):
    warn_unknown(name, options)
if (image := find_linked_image()) and st.session_state.get("linked") != image:
    st.session_state["linked"] = image
    show_dialog(image)
# not "reviewer": under that key the session keeps who is looking (review_app/auth.py)
one, two, three, four = st.columns(4)
project = one.selectbox("Project", projects, index=None, placeholder="All", key="project", **BOUND)
reviewer = two.selectbox("Reviewer", reviewers, index=None, placeholder="All", key="decided_by", **BOUND)
verdict = three.selectbox("Verdict", verdicts, index=None, placeholder="All", key="verdict", **BOUND)
days = four.date_input("Days", value=(), max_value=date.today() + timedelta(days=1))

given = list(days) if isinstance(days, tuple) else [days]
since = datetime.combine(given[0], time(), UTC) if given else None
until = datetime.combine(given[-1], time(), UTC) + timedelta(days=1) if len(given) > 1 else None
wanted = {"project": project, "reviewer": reviewer, "verdict": verdict, "since": since, "until": until}
shown: dict[str, Any] = wanted | {"blind_to": person.blind_to}
rows = [row_of(one) for one in ledger.decisions(**shown, limit=PAGE)]

if not rows:
    some = any(wanted.values())
    st.info(
        "No decisions match. Choose All above to see the rest."
        if some
        else "No decisions yet. Each one that is taken in the Inbox, the Grid or Conflicts is listed here."
    )
    st.stop()
if len(rows) == PAGE:
    st.caption(f"The newest {PAGE} are shown; the exports hold the newest {EXPORTED:,} that match.")
event = st.dataframe(
    [row | {"seconds": "–" if row["seconds"] is None else f"{row['seconds']:.1f}"} for row in rows],
    hide_index=True,
    selection_mode="single-row",
    on_select="rerun",
    height=min(560, 38 + 35 * len(rows)),
    column_order=[name for name in FIELDS[:-3] if name != "step" or any(row["step"] for row in rows)],
    column_config={
        "when": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm:ss"),
        "stands": st.column_config.CheckboxColumn("Stands", help="The decision that holds now"),
        "seconds": st.column_config.Column("Seconds", help="How long the image was looked at"),
        **{
            name: name.capitalize()
            for name in ("project", "asset", "variant", "verdict", "reviewer", "step", "reasons", "marks", "note")
        },
    },
    key="trail",
)
left, middle, right = st.columns([1, 1, 4])


def everything() -> Iterator[dict[str, Any]]:
    """A page at a time: a million rows of the ledger are a gigabyte, their text is not."""
    before, left = None, EXPORTED
    while page := ledger.decisions(**shown, before=before, limit=min(2_000, left)):
        yield from map(row_of, page)
        before, left = page[-1].decision.id, left - len(page)
        if not left:
            return


left.download_button(
    "CSV",
    data=lambda: as_csv(everything(), FIELDS),
    file_name="decisions.csv",
    mime="text/csv",
    icon=":material/download:",
    on_click="ignore",
)
middle.download_button(
    "JSON",
    data=lambda: as_json(everything()),
    file_name="decisions.json",
    mime="application/json",
    icon=":material/download:",
    on_click="ignore",
)
if event.selection.rows and st.session_state.get("opened") != event.selection.rows:
    show_dialog(rows[event.selection.rows[0]]["image"])
st.session_state["opened"] = event.selection.rows
