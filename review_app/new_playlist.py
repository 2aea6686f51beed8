"""What a new playlist asks for: its name, whose work it is, and which images; on its page and from the Grid."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from pydantic import ValidationError

from review_app.appearance import escape_markdown
from review_app.auth import Person, current_user, find_role, list_all_groups
from review_app.resources import open_resources
from review_app.talk import list_people
from schemas.errors import LedgerError
from schemas.names import count_noun
from schemas.playlists import MOST_IMAGES, NewPlaylist
from schemas.review import spell_errors

STATES = {"waiting": "that wait", "approved": "that are approved", "any": "all of them"}


@st.dialog("New playlist")
def show_playlist_dialog(images: Sequence[str]) -> None:
    if (person := current_user()) is not None:
        st.write(f"{count_noun(len(images), 'image')}, as chosen in the Grid.")
        ask_playlist(person, images)


def ask_playlist(person: Person, images: Sequence[str] = ()) -> None:
    """Makes it when asked to. `images`: already chosen; else they are asked for too."""
    first, second = st.columns(2)
    name = first.text_input("Name", max_chars=80, placeholder="Monday, heroes")
    people = second.multiselect(
        "Whose work it is",
        [*list_all_groups(), *list_people()],
        accept_new_options=True,
        placeholder="Nobody's yet",
        help="Names, or groups of dailies.toml. Each finds it in the Inbox under “My queue”.",
    )
    chosen = images or _choose()
    if not st.button("Make it", type="primary", disabled=not 0 < len(chosen) <= MOST_IMAGES):
        return
    try:
        new = NewPlaylist(name=name, images=tuple(chosen), people=tuple(people))
        open_resources().ledger.make_playlist(new, made_by=person.name, role=find_role(person.name))
    except ValidationError as wrong:
        st.error(escape_markdown(spell_errors(wrong)))
    except LedgerError as wrong:
        st.error(escape_markdown(wrong))
    else:
        st.rerun()


def _choose() -> list[str]:
    """Images by project, asset, night and state."""
    ledger = open_resources().ledger
    first, second, third, fourth = st.columns(4)
    project = first.selectbox("Project", ledger.projects(), index=None, placeholder="All")
    assets = [one.asset for one in ledger.assets(project)] if project else []
    asset = second.selectbox("Asset", assets, index=None, placeholder="All", disabled=not project)
    nights = {night.id: night.started_at.strftime("%-d %b, %H:%M") for night in ledger.nights(30)}
    night = third.selectbox(
        "Night", nights, index=None, placeholder="Any", format_func=lambda one: f"{one}: {nights[one]}"
    )
    state = fourth.selectbox("Images", STATES, format_func=lambda one: STATES[one])
    found = ledger.find_for_playlist(project=project, asset=asset, night=night, state=state, limit=MOST_IMAGES + 1)
    if len(found) > MOST_IMAGES:
        st.warning(f"More than {MOST_IMAGES:,} images; a playlist has that many at most. Choose a narrower filter.")
    elif not found:
        st.caption("No image is like that.")
    else:
        st.caption(f"{count_noun(len(found), 'image')}, asset by asset.")
    return found
