"""Stars and a colour on an image, for what is neither yes nor no yet. A rating decides nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.spec import Frozen, Sha256

MOST_STARS = 5


class RatingColour(StrEnum):
    """What each means is the studio's own to say."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"


class NewRating(Frozen):
    """A rating as a page sends it; it takes the place of the one before. No star and no colour: none."""

    image: Sha256
    stars: Annotated[int, Field(ge=0, le=MOST_STARS)] = 0
    colour: RatingColour | None = None


MAYBES = (*(str(stars) for stars in range(1, MOST_STARS + 1)), *(colour.value for colour in RatingColour))
"""Values of the filter on ratings: so many stars or more, or a colour."""


def name_maybe(maybe: str) -> str:
    """For a person."""
    if not maybe.isdigit():
        return maybe
    return "★" * int(maybe) + (" and more" if int(maybe) < MOST_STARS else "")
