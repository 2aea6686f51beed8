"""What waits, for whom: the Inbox's queue under a filter, its numbers, and where the rest is."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from review_app.auth import Person, find_rights, list_groups
from review_app.rating import list_maybes
from review_app.resources import open_resources
from schemas.review import Criterion
from storage.ledger import InboxCount, InboxItem, NamedFilter, PlaylistProgress

MINE = "mine"
"""In the place of a playlist's number: all that are this person's work."""


def find_inbox(wanted: Mapping[str, str | None], person: Person, *, limit: int) -> list[InboxItem]:
    """What this person is to look at under a filter. In the order of the playlist, where it names one."""
    named = wanted.get("playlist")
    return open_resources().ledger.inbox(
        project=wanted.get("project"),
        asset=wanted.get("asset"),
        check=wanted.get("check"),
        maybe=wanted.get("maybe"),
        reviewer=person.name,
        others_steps=list_others_steps(person),
        playlists=None if named is None else _list_numbers(named, person),
        limit=limit,
    )


def list_others_steps(person: Person) -> Collection[str]:
    """What waits at these is not for this person to see in a queue; who only looks sees all."""
    return find_rights(person.name)["others_steps"] if person.may_decide else ()


def _list_numbers(named: str, person: Person) -> list[int]:
    return [one.id for one in list_own_playlists(person)] if named == MINE else [int(named)]


def list_own_playlists(person: Person) -> list[PlaylistProgress]:
    """Those that are this person's work, by name or as one of a group; the oldest first, as they were given."""
    names = {person.name, *list_groups(person)}
    return [one for one in reversed(_open_playlists()) if one.is_for(names)]


def name_playlists(person: Person) -> dict[str, str]:
    """Every open playlist, as the filter has it -> what it is called; first what is this person's own work."""
    named = {str(one.id): f"{one.name} ({one.waiting} of {one.images} wait)" for one in _open_playlists()}
    mine = list_own_playlists(person)
    return ({MINE: f"My queue ({sum(one.waiting for one in mine)} wait)"} if mine else {}) | named


@st.cache_resource(ttl=2, show_spinner=False)
def _open_playlists() -> list[PlaylistProgress]:
    """For all sessions, two seconds old at most."""
    return open_resources().ledger.playlists()


def list_saved(person: Person) -> list[dict[str, Any]]:
    """Filters with a name: this person's own, then what others share."""
    found = _saved_filters(person.name)
    return [
        {"name": one.name if one.owner == person.name else f"{one.name} ({one.owner})", "query": dict(one.query)}
        for one in found
    ]


@st.cache_resource(ttl=2, show_spinner=False, max_entries=200)
def _saved_filters(name: str) -> list[NamedFilter]:
    return open_resources().ledger.saved_filters(name)


def list_later() -> list[dict[str, Any]]:
    """What waits for whom, where reviews have steps."""
    return [{"step": step, "images": many} for step, many in open_resources().ledger.waiting_steps().items()]


def list_elsewhere(person: Person) -> list[dict[str, Any]]:
    """Who has the rest in hand, when nothing is left for this reviewer."""
    return [
        {"who": other.reviewer, "images": other.images, "until": f"{other.until:%H:%M} UTC"}
        for other in open_resources().ledger.others_hands(person.name)
    ]


def count_waiting(person: Person) -> dict[str, float]:
    waiting, tally, at = _sums()
    return {
        "age": time.monotonic() - at,
        "waiting": sum(count.waiting for count in waiting),
        "mine": tally.get(person.name, 0),
        "team": sum(tally.values()),
    }


def list_filters(project: str | None, playlists: Iterable[str]) -> dict[str, list[str]]:
    waiting, _, _ = _sums()
    return {
        "project": sorted({count.project for count in waiting}),
        "asset": sorted({count.asset for count in waiting if project in (None, count.project)}),
        "check": [str(criterion) for criterion in Criterion],
        "maybe": list_maybes(),
        "playlist": list(playlists),
    }


@st.cache_resource(ttl=2, show_spinner=False)
def _sums() -> tuple[list[InboxCount], dict[str, int], float]:
    """What waits, and who has decided how much today; for all sessions, two seconds old at most."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return open_resources().ledger.inbox_counts(), open_resources().ledger.tally(today), time.monotonic()
