"""The peer of bench/review.py: one decision as a plain Streamlit page takes it, `st.image` and a button with a key.

streamlit run bench/plain_review.py         over the ledger and the store that DAILIES_* name
"""

from __future__ import annotations

import streamlit as st

from review_app.resources import open_resources
from schemas.review import Choice, Verdict
from storage.ledger.review import InboxItem


def main() -> None:
    at = open_resources()
    waiting = at.ledger.inbox(limit=1)
    if not waiting:
        st.write("Nothing waits")
        return
    item = waiting[0]
    st.image(at.store.get(item.preview_key), caption=item.digest)
    st.button("Approve", shortcut="a", on_click=approve, args=[item])


def approve(item: InboxItem) -> None:
    choice = Choice(image=item.digest, revision=item.revision, verdict=Verdict.APPROVE)
    open_resources().ledger.decide(choice, reviewer="Noor", role="reviewer")


main()
