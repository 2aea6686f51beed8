"""Comments between the ledger and the pages: as the reviewing screen is told of them, and as it sends them.

Nothing here asks the ledger for one image alone: what was said of the next images travels with them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from pydantic import ValidationError

from review_app.appearance import format_age
from review_app.auth import Person
from review_app.resources import open_resources
from schemas.comments import NewComment
from schemas.errors import LedgerError, LedgerUnavailable
from schemas.review import spell_errors
from storage.ledger import Ledger, Said

GRACE_SECONDS = 10.0
"""A comment can be seen after one with a higher number, where two are written at once."""
MOST_AT_ONCE = 500
"""Comments that a page marks as read in one go."""


def list_comments(digests: Iterable[str], person: Person) -> dict[str, list[dict[str, Any]]]:
    """Of these images and those that they were made from, by image, oldest first; hidden is what she must not see."""
    found = open_resources().ledger.comments(digests, reader=person.name, blind_to=person.blind_to)
    return {image: [show_comment(said, image=image) for said in comments] for image, comments in found.items()}


def show_comment(said: Said, *, image: str) -> dict[str, Any]:
    """A comment as the screen is told of it beside this image."""
    return {
        "id": said.id,
        "by": said.author,
        "when": format_age(said.written_at),
        "text": said.text,
        "names": list(said.mentions),
        "unknown": list(said.unknown),
        "of": "" if said.image == image else f"take {said.take}",
        "new": said.unread,
    }


@dataclass
class Heard:
    """What one screen knows of comments, so that an act on which nothing was said asks the ledger for nothing."""

    numbers: set[int] = field(default_factory=set)
    newest: int = -1
    changed_at: float = 0.0

    def learn(self, comments: Iterable[Mapping[str, Any]]) -> None:
        self.numbers.update(one["id"] for one in comments)

    def list_news(self, have: Sequence[str], person: Person) -> dict[str, list[dict[str, Any]]]:
        """What was said since of images that the screen has already."""
        newest = _newest()
        if newest != self.newest:
            self.newest, self.changed_at = newest, time.monotonic()
        if time.monotonic() - self.changed_at > GRACE_SECONDS:
            return {}
        news = {}
        for image, comments in list_comments(have, person).items():
            if fresh := [one for one in comments if one["id"] not in self.numbers]:
                news[image] = fresh
        for fresh in news.values():
            self.learn(fresh)
        return news


@st.cache_resource(ttl=1, show_spinner=False)
def _newest() -> int:
    return open_resources().ledger.newest_comment()


def take_comment(event: dict[str, Any], *, ledger: Ledger, reviewer: str, role: str) -> dict[str, Any]:
    """Writes what the screen sent, once; the answer to it. LedgerUnavailable: it is to be sent again."""
    token = event.get("token")
    answer: dict[str, Any] = {"token": token if isinstance(token, str) else ""}
    try:
        new = NewComment.model_validate({"image": event.get("image"), "text": event.get("comment"), "token": token})
        said = ledger.comment(new, author=reviewer, role=role, people=list_role_holders())
    except LedgerUnavailable:
        raise
    except ValidationError as wrong:
        return answer | _refused(spell_errors(wrong))
    except LedgerError as wrong:
        return answer | _refused(str(wrong))
    return answer | {"comment": show_comment(said, image=said.image)}


def _refused(why: str) -> dict[str, Any]:
    return {"ok": False, "title": "Comment not recorded:", "message": f"{why}. Your words are in the field again."}


def mark_read(wish: object, *, ledger: Ledger, reviewer: str) -> list[int]:
    """The numbers of comments that the screen says were read, marked; none while the ledger is away: the screen says
    them again."""
    numbers = [one for one in wish if type(one) is int and 0 < one < 2**62] if isinstance(wish, list) else []
    try:
        ledger.read_comments(reviewer, numbers[:MOST_AT_ONCE])
    except LedgerUnavailable:
        return []
    return numbers[:MOST_AT_ONCE]


def list_role_holders() -> list[str]:
    """People who may have done nothing yet, and are known by their role."""
    return sorted(open_resources().settings.roles)


def list_people() -> list[str]:
    """Everybody who can be named, for completing a name; asked for when somebody begins to write."""
    return sorted({*open_resources().ledger.people(), *list_role_holders()})


@st.cache_resource(ttl=5, show_spinner=False, max_entries=200)
def count_unread(name: str, blind_to: str | None) -> int:
    """Mentions and answers that this person has not read; five seconds old at most."""
    return open_resources().ledger.unread_count(name, blind_to=blind_to)


def title_feed(person: Person) -> str:
    """Of the page in the navigation, with what is unread; without a number while the ledger is away."""
    try:
        unread = count_unread(person.name, person.blind_to)
    except LedgerError:
        unread = 0
    return f"For you ({unread})" if unread else "For you"
