"""Playlists: images in an order, as somebody's work or for a client; how far each has come, and who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import streamlit as st
from pydantic import ValidationError

from review_app.appearance import escape_markdown, format_age
from review_app.auth import Person, current_user, find_role
from review_app.new_playlist import ask_playlist
from review_app.resources import open_resources
from review_app.waiting import list_own_playlists
from schemas.errors import LedgerError
from schemas.names import count_noun
from schemas.playlists import LONGEST_DAYS, ClientMay, FilterName, NewClientLink, NewFilter
from schemas.review import spell_errors
from storage.ledger import LinkUse, PlaylistProgress

ledger = open_resources().ledger
MAY = {
    ClientMay.LOOK: "look",
    ClientMay.COMMENT: "look and comment",
    ClientMay.DECIDE: "look, comment, and approve at the step “client”",
}
VERDICTS = {"approve": "approved", "reject": "rejected", "retake": "sent back"}


def main(person: Person) -> None:
    st.title("Playlists")
    found = ledger.playlists()
    mine = {one.id for one in list_own_playlists(person)}
    if person.may_decide:
        with st.expander("New playlist", icon=":material/playlist_add:"):
            ask_playlist(person)
    if not found:
        st.info(
            "No playlist yet. One is somebody's work for the day, in an order; or what a client is shown by a link. "
            "“New playlist” makes one, and so does the Grid, of what is chosen there."
        )
    filters(person)
    for one in sorted(found, key=lambda one: (one.id not in mine, -one.id)):
        with st.container(border=True):
            show(one, person, own=one.id in mine)


def filters(person: Person) -> None:
    """Filters with a name; and a name for the one that the address has, coming from the Inbox."""
    query = {name: st.query_params[name] for name in get_args(FilterName) if st.query_params.get(name)}
    if query and person.may_decide:
        with st.form("save", border=True):
            st.write(f"Save this filter of the Inbox: {escape_markdown(spell(query))}")
            name = st.text_input("Its name", max_chars=80, placeholder="Flagged hands of the heroes")
            shared = st.checkbox("Everybody sees it")
            if st.form_submit_button("Save", type="primary", icon=":material/bookmark_add:"):
                try:
                    new = NewFilter.model_validate({"name": name, "query": query, "shared": shared})
                    ledger.save_filter(new, owner=person.name, role=find_role(person.name))
                except ValidationError as wrong:
                    st.error(escape_markdown(spell_errors(wrong)))
                except LedgerError as wrong:
                    st.error(escape_markdown(wrong))
                else:
                    st.query_params.clear()
                    st.rerun()
    saved = ledger.saved_filters(person.name)
    if not saved:
        return
    with st.expander(f"Saved filters ({len(saved)})", icon=":material/bookmark:"):
        for one in saved:
            with st.container(horizontal=True, vertical_alignment="center"):
                whose = "" if one.owner == person.name else f", shared by {one.owner}"
                label = escape_markdown(f"{one.name}: {spell(one.query)}{whose}")
                st.page_link(
                    "screens/inbox.py", label=label, icon=":material/filter_alt:", query_params=dict(one.query)
                )
                if one.owner == person.name and st.button("Remove", key=f"remove-{one.id}"):
                    ledger.remove_filter(one.id, owner=person.name)
                    st.rerun()


def spell(query: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in query.items())


def show(one: PlaylistProgress, person: Person, *, own: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        mark = " · :material/person: yours" if own else ""
        st.subheader(f"{escape_markdown(one.name)}{mark}", anchor=False)
        st.page_link(
            "screens/inbox.py",
            label=f"Review {one.waiting}" if one.waiting else "Nothing waits",
            icon=":material/rate_review:",
            query_params={"playlist": str(one.id)},
            disabled=not one.waiting,
        )
    done = [f"{many} {VERDICTS[verdict]}" for verdict, many in sorted(one.by_verdict.items(), key=str) if verdict]
    st.progress(1 - one.waiting / one.images, text=", ".join([f"{one.waiting} of {one.images} wait", *done]))
    whose = f"For {', '.join(one.people)}. " if one.people else ""
    st.caption(escape_markdown(f"{whose}Made by {one.made_by}, {format_age(one.made_at)}."))
    if person.leads:
        links = ledger.client_links(one.id)
        with st.expander(f"Client links ({len(links)})", icon=":material/link:", key=f"links-{one.id}"):
            give(one, person)
            for link in links:
                show_link(link, person)
    closes = person.leads or person.name == one.made_by
    if closes and st.button("Close it", key=f"close-{one.id}", help="It and its links are gone; no image is."):
        ledger.close_playlist(one.id, by=person.name, role=find_role(person.name))
        st.rerun()


def give(one: PlaylistProgress, person: Person) -> None:
    """Makes a link, and shows it this one time."""
    with st.form(f"give-{one.id}", border=False):
        first, second, third = st.columns([2, 3, 1])
        client = first.text_input("Client", max_chars=80, placeholder="Aki Tanaka, Nordlicht Games")
        may = second.selectbox("May", list(MAY), index=1, format_func=lambda one: MAY[one])
        days = third.number_input("Days", 1, LONGEST_DAYS, 7)
        if st.form_submit_button("Make a link", icon=":material/add_link:"):
            try:
                new = NewClientLink(playlist=one.id, client=client, may=may, days=int(days))
                secret = ledger.make_client_link(new, made_by=person.name, role=find_role(person.name))
            except ValidationError as wrong:
                st.error(escape_markdown(spell_errors(wrong)))
            except LedgerError as wrong:
                st.error(escape_markdown(wrong))
            else:
                st.success("Send this to the client. It is shown once and kept nowhere; who has it, can use it.")
                st.code(f"{open_resources().settings.review_url.rstrip('/')}/client#{secret}", language=None)


def show_link(link: LinkUse, person: Person) -> None:
    ends = "taken back" if link.revoked_at else f"until {link.expires_at:%-d %b %Y}"
    used = f"{count_noun(link.acts, 'act')}, last {format_age(link.last_at)}" if link.acts else "not opened yet"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{escape_markdown(link.client)}** may {MAY[link.may]}; {ends}; {escape_markdown(used)}. "
            f"Given by {escape_markdown(link.made_by)}."
        )
        if link.revoked_at is None and st.button("Take it back", key=f"revoke-{link.id}"):
            ledger.revoke_client_link(link.id, by=person.name, role=find_role(person.name))
            st.rerun()
    if link.acts and st.toggle("What was done with it", key=f"log-{link.id}"):
        st.dataframe(
            [
                {"When": act.at.strftime("%Y-%m-%d %H:%M:%S"), "What": act.act, "Asset": act.asset}
                for act in ledger.client_acts(link.id)
            ],
            hide_index=True,
        )


if (person := current_user()) is not None:
    main(person)
