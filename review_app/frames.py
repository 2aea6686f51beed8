"""Frames of the ledger as tiles of a contact sheet, and one image opened from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from review_app.appearance import escape_markdown, format_age
from review_app.appearance import show_picture as show
from review_app.auth import current_user, find_rights
from review_app.deck import list_parameters
from review_app.markings import draw_markings
from review_app.resources import open_resources
from review_app.thread import show_thread
from schemas.errors import NotAllowed, StaleDecision
from schemas.review import Choice, Drawing, Verdict
from storage.image_metadata import make_snippet
from storage.ledger import CommentCount, Frame, ImageDetails


def make_tile(frame: Frame, *, name: str = "", comments: CommentCount | None = None) -> dict[str, Any]:
    take = f", take {frame.take}" if frame.take > 1 else ""
    return {
        "id": frame.digest,
        "thumb": open_resources().links.to(frame.thumb_key) if frame.thumb_key else "",
        "name": name or f"{frame.variant}{take}",
        "state": str(frame.verdict) if frame.verdict else "waiting" if frame.thumb_key else "planned",
        "about": f"{frame.variant} · {frame.tier}{take}",
        "comments": comments.total if comments else 0,
        "unread": comments.unread if comments else 0,
    }


def group_by_line(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Takes that follow from each other, in one line; a take made twice over opens a line of its own."""
    known = {frame.digest for frame in frames}
    after: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.parent in known:
            after.setdefault(frame.parent, []).append(frame)
    lines: list[list[Frame]] = []

    def follow(frame: Frame, line: list[Frame]) -> None:
        line.append(frame)
        for number, child in enumerate(after.get(frame.digest, [])):
            if number == 0:
                follow(child, line)
            else:
                lines.append([])
                follow(child, lines[-1])

    for frame in frames:
        if frame.parent not in known:
            lines.append([])
            follow(frame, lines[-1])
    return lines


@st.dialog("Image", width="large")
def show_dialog(digest: str) -> None:
    """One image with its line, its decisions and the manifest that would make more like it."""
    at, person = open_resources(), current_user()
    if person is None:
        return
    picture = at.ledger.picture(digest)
    spec, decisions = picture.spec, picture.shown_to(person.blind_to)
    drawings = [Drawing.model_validate(region) for decision in decisions for region in decision.regions]
    left, right = st.columns([3, 2])
    with left:
        over = draw_markings(drawings, width=picture.image.width, height=picture.image.height)
        show(at.links.to(picture.image.preview_key), spec.asset, over=over)
    with right:
        st.subheader(escape_markdown(spec.asset), anchor=False)
        st.caption(escape_markdown(f"{spec.project} · {spec.variant} · {spec.tier} · take {spec.take}"))
        if picture.entry.waiting:
            st.page_link(
                "screens/inbox.py", label="Review it", icon=":material/rate_review:", query_params={"image": digest}
            )
        st.text(spec.prompt)
        st.dataframe(list_parameters(spec, picture.image), hide_index=True, column_config={"0": "What", "1": "Value"})
    for decision in reversed(decisions):
        why = ", ".join([*decision.reasons, *([f"“{decision.note}”"] if decision.note else [])])
        who = decision.reviewer + (f" as {decision.step}" if decision.step else "")
        st.text(f"{decision.verdict} by {who}, {format_age(decision.decided_at)}{': ' if why else ''}{why}")
    _take_back(picture)
    show_thread(picture, person)
    for retake in picture.retakes:
        if retake.refused:
            st.text(f"No retake was planned: {retake.refused}")
    st.page_link(
        "screens/library.py",
        label="More like this one",
        icon=":material/image_search:",
        query_params={"like": digest},
    )
    with st.expander("Manifest snippet: make more like it"):
        st.code(make_snippet(spec), language="yaml")


def _take_back(picture: ImageDetails) -> None:
    """For who may; the ledger has the last word."""
    person, stands = current_user(), picture.standing
    if person is None or stands is None or not (person.leads or stands.reviewer == person.name):
        return
    if st.button("Take the decision back", icon=":material/undo:"):
        choice = Choice(image=picture.image.digest, revision=picture.revision, verdict=Verdict.UNDO)
        try:
            open_resources().ledger.decide(choice, **find_rights(person.name))
            st.rerun()
        except (StaleDecision, NotAllowed) as wrong:
            st.error(escape_markdown(wrong))
