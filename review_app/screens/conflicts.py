"""Conflicts: images that two reviewers judged differently. A lead settles each; until then it waits."""

from __future__ import annotations

import streamlit as st

from review_app.addresses import find_linked_image
from review_app.appearance import escape_markdown, format_age, show_picture
from review_app.auth import current_user, find_rights
from review_app.resources import open_resources
from schemas.errors import NotAllowed, StaleDecision
from schemas.review import Choice, Verdict
from storage.ledger import Conflict

ledger = open_resources().ledger
SHOWN = 30


def main() -> None:
    person = current_user()
    if person is None:
        return
    st.title("Conflicts")
    conflicts = ledger.conflicts()
    if not conflicts:
        st.info("Nobody disagrees. Images that two people review come here when they judge differently.")
        return
    if image := find_linked_image():
        there = [one for one in conflicts if one.image == image]
        if not there:
            st.warning("The image that the link names is in no conflict now; it was settled, or never was in one.")
        conflicts = there or conflicts
    if not person.leads:
        st.caption(f"A lead settles these; you are {person.role}.")
        conflicts = [one for one in conflicts if any(d.reviewer == person.name for d in one.decisions)]
    for conflict in conflicts[:SHOWN]:
        with st.container(border=True):
            one(conflict, name=person.name, leads=person.leads)
    if len(conflicts) > SHOWN:
        st.caption(f"and {len(conflicts) - SHOWN} more")


def one(conflict: Conflict, *, name: str, leads: bool) -> None:
    found = ledger.picture(conflict.image)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        show_picture(open_resources().links.to(found.image.preview_key), conflict.asset)
    with right:
        st.subheader(escape_markdown(conflict.asset), anchor=False)
        st.caption(escape_markdown(f"{conflict.project} · {found.spec.variant} · take {found.spec.take}"))
        for decision in conflict.decisions:
            marks = [f"{criterion} {mark}" for criterion, mark in decision.marks.items()]
            why = ", ".join([*decision.reasons, *marks, *([f"“{decision.note}”"] if decision.note else [])])
            st.text(
                f"{decision.reviewer}: {decision.verdict}, {format_age(decision.decided_at)}{': ' if why else ''}{why}"
            )
        st.text(found.spec.prompt)
        if not leads:
            return
        note = st.text_input("Note", key=f"note-{conflict.image}", placeholder="Why it is settled so")
        buttons = st.columns(3)
        for column, verdict in zip(buttons, (Verdict.APPROVE, Verdict.REJECT, Verdict.RETAKE), strict=True):
            if column.button(verdict.capitalize(), key=f"{verdict}-{conflict.image}", width="stretch"):
                settle(conflict, found.revision, verdict, note, name)


def settle(conflict: Conflict, revision: int, verdict: Verdict, note: str, name: str) -> None:
    """With the reasons of those who judged the same."""
    same = [decision for decision in conflict.decisions if decision.verdict == verdict]
    reasons = tuple(dict.fromkeys(reason for decision in same for reason in decision.reasons))
    said = note or next((decision.note for decision in same if decision.note), "") or "settled by a lead"
    choice = Choice.model_validate(
        {"image": conflict.image, "revision": revision, "verdict": verdict, "reasons": reasons, "note": said}
    )
    try:
        ledger.decide(choice, **find_rights(name))
        st.rerun()
    except (StaleDecision, NotAllowed) as wrong:
        st.error(escape_markdown(wrong))


main()
