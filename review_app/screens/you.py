"""The person at this screen: name, role, pace, and how to hand over to somebody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from review_app.appearance import escape_markdown
from review_app.auth import current_user, is_sign_in_on, leave
from review_app.resources import open_resources

CAN = {
    "viewer": "look at everything, decide nothing",
    "reviewer": "decide, and take your own decisions back",
    "lead": "decide, settle conflicts, and replace what others decided",
    "admin": "do everything",
}
person = current_user()
if person is not None:
    st.title(escape_markdown(person.name), anchor=False)
    st.write(f"As {person.role} you can {CAN[person.role]}.")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"Today": today, "These 7 days": today - timedelta(days=6), "Ever": datetime(2000, 1, 1, tzinfo=UTC)}
    for column, (name, since) in zip(st.columns(3), days.items(), strict=True):
        column.metric(
            f"{name}: images decided", open_resources().ledger.tally(since, reviewer=person.name).get(person.name, 0)
        )
    label = "Sign out" if is_sign_in_on() else "Somebody else is here now"
    if st.button(label, icon=":material/switch_account:", on_click=leave):
        st.rerun()
