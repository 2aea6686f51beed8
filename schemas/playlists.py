"""Playlists and what a client may do with one by a link. Pure: no database, no clock."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from schemas.spec import Frozen, Sha256

MOST_IMAGES = 5_000
"""Of one playlist."""
LONGEST_DAYS = 90
"""How long a client link may hold."""


class ClientMay(StrEnum):
    """What a client link permits; each holds what the one before it does."""

    LOOK = "look"
    COMMENT = "comment"
    DECIDE = "decide"


Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]*$")
]


class NewPlaylist(Frozen):
    """A playlist as a page sends it. Images in their order, each once; `people`: names, addresses or groups."""

    name: Label
    images: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=MOST_IMAGES)]
    people: Annotated[tuple[Label, ...], Field(max_length=50)] = ()

    @field_validator("images", "people")
    @classmethod
    def _once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given))


FilterValue = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FilterName = Literal["project", "asset", "check", "maybe", "playlist"]


class NewFilter(Frozen):
    """A filter of the Inbox under a name. `query`: as it is in the address."""

    name: Label
    query: Annotated[dict[FilterName, FilterValue], Field(min_length=1)]
    shared: bool = False


class NewClientLink(Frozen):
    """A link as a page sends it."""

    playlist: int
    client: Label
    may: ClientMay = ClientMay.COMMENT
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 7
