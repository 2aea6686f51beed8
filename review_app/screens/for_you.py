"""For you: comments that name this person or answer her, the newest first, each with its image."""

from __future__ import annotations

import streamlit as st

from review_app.appearance import escape_markdown, format_age, show_picture
from review_app.auth import Person, current_user
from review_app.resources import open_resources
from review_app.talk import count_unread
from review_app.thread import show_words
from schemas.comments import Concern
from storage.ledger import FeedEntry

PAGE = 20
WIDTH = 860
"""px; longer lines are hard to read."""
WHY = {Concern.MENTION: "mentioned you", Concern.ANSWER: "answered"}


def main(person: Person) -> None:
    st.title("For you")
    shown = st.session_state.get("feed-shown", PAGE)
    found = open_resources().ledger.feed(person.name, blind_to=person.blind_to, limit=shown + 1)
    if not found:
        st.info("Nothing yet. Comments that name you with an @, or that answer where you commented, come here.")
        return
    if any(entry.unread for entry in found):
        st.button("Mark all as read", icon=":material/done_all:", on_click=_read_all, args=(person,))
    with st.container(key="feed", width=WIDTH):
        for entry in found[:shown]:
            with st.container(border=True):
                show_entry(entry)
    if len(found) > shown:
        st.button("Show older ones", on_click=lambda: st.session_state.update({"feed-shown": shown + PAGE}))


def show_entry(entry: FeedEntry) -> None:
    with st.container(horizontal=True, gap="small"):
        with st.container(width=88):
            show_picture(open_resources().links.to(entry.thumb_key), f"{entry.asset}, {entry.variant}")
        with st.container(width="stretch", gap="small"):
            new = " · **new**" if entry.unread else ""
            who = f"**{escape_markdown(entry.author)}** {WHY[entry.concern]}"
            st.markdown(f"{who}, {escape_markdown(format_age(entry.written_at))}{new}")
            show_words(entry.text, limit=600)
            take = f", take {entry.take}" if entry.take > 1 else ""
            label = f"{entry.project} · {entry.asset}, {entry.variant}{take}"
            st.page_link(
                "screens/inbox.py",
                label=escape_markdown(label),
                icon=":material/image:" if not entry.waiting else ":material/rate_review:",
                query_params={"image": entry.image},
            )


def _read_all(person: Person) -> None:
    open_resources().ledger.read_feed(person.name, blind_to=person.blind_to)
    count_unread.clear()


if (person := current_user()) is not None:
    main(person)
