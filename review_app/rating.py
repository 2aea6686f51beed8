"""Ratings between the ledger and the pages: stars and a colour, and the filter on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from review_app.auth import Person
from review_app.resources import open_resources
from schemas.errors import LedgerError, LedgerUnavailable
from schemas.ratings import MAYBES, NewRating
from schemas.records import Rating
from schemas.review import spell_errors
from storage.ledger import Ledger


def list_ratings(digests: Iterable[str], person: Person) -> dict[str, Rating]:
    return open_resources().ledger.ratings(digests, blind_to=person.blind_to)


def show_rating(rating: Rating | None) -> dict[str, Any]:
    """As the screens are told of it."""
    if rating is None:
        return {"stars": 0, "colour": "", "by": ""}
    return {"stars": rating.stars, "colour": rating.colour or "", "by": rating.rated_by}


def spell_rating(rating: Rating | None) -> str:
    """Stars and colour in a few letters."""
    if rating is None:
        return ""
    return " ".join(part for part in ("★" * rating.stars, rating.colour or "") if part)


def take_rating(event: dict[str, Any], *, ledger: Ledger, reviewer: str, role: str) -> dict[str, Any]:
    """Writes what the screen sent; the answer to it. LedgerUnavailable: it is to be sent again."""
    given = {name: event.get(name) for name in ("image", "stars", "colour")}
    try:
        rating = ledger.rate(NewRating.model_validate(given), author=reviewer, role=role)
    except LedgerUnavailable:
        raise
    except ValidationError as wrong:
        return _refused(spell_errors(wrong), None)
    except LedgerError as wrong:
        return _refused(str(wrong), ledger.ratings([given["image"]]).get(given["image"]))  # type: ignore[list-item, arg-type]
    return {"rating": show_rating(rating)}


def _refused(why: str, stands: Rating | None) -> dict[str, Any]:
    return {"ok": False, "title": "Rating not recorded:", "message": f"{why}.", "rating": show_rating(stands)}


def list_maybes() -> list[str]:
    """Values of the filter; none while nothing is rated, so that it takes no room."""
    return list(MAYBES) if open_resources().ledger.has_ratings() else []
