"""The ledger on ratings: one an image, the newest; and which images that wait are rated so."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.ratings import MAYBES, NewRating
from schemas.records import Image, InboxEntry, Rating
from storage.ledger.transaction import Transactions, check_decider, now


class Ratings(Transactions):
    def rate(self, new: NewRating, *, author: str, role: str = "reviewer") -> Rating:
        """Takes the place of the rating before, whoever gave it. NotAllowed when the role does not permit it,
        LedgerError when there is no such image."""
        check_decider(author, role, doing="rating", nameless="a rating needs the name of who gives it")
        return self.together("rate", lambda session: self._rate(session, new, author))

    def _rate(self, session: Session, new: NewRating, author: str) -> Rating:
        if session.get(Image, new.image) is None:
            raise LedgerError(f"there is no image {new.image}")
        values = {"stars": new.stars, "colour": new.colour and new.colour.value, "rated_by": author, "rated_at": now()}
        insert = sqlite.insert if self._on_sqlite else postgresql.insert
        statement = insert(Rating).values(image=new.image, **values)
        session.execute(statement.on_conflict_do_update(index_elements=[Rating.image], set_=values))
        return Rating(image=new.image, **values)

    def ratings(self, images: Iterable[str], *, blind_to: str | None = None) -> dict[str, Rating]:
        """By image; those without one are left out. `blind_to`: without what others gave an image that waits for a
        second review."""
        query = (
            select(Rating)
            .join(InboxEntry, InboxEntry.image == Rating.image)
            .where(Rating.image.in_(self.listed(images)), or_(Rating.stars > 0, Rating.colour.is_not(None)))
        )
        if blind_to is not None:
            query = query.where(~and_(InboxEntry.waiting, InboxEntry.reviews_wanted > 1, Rating.rated_by != blind_to))
        with self.reading() as session:
            return {rating.image: rating for rating in session.scalars(query)}

    def has_ratings(self) -> bool:
        """Whether any image has a star or a colour."""
        query = select(Rating.image).where(or_(Rating.stars > 0, Rating.colour.is_not(None))).limit(1)
        with self.reading() as session:
            return session.scalar(query) is not None


def is_rated(maybe: str, reviewer: str | None) -> ColumnElement[bool]:
    """Whether an inbox entry that waits is rated so: a number of stars or more, or a colour (schemas.ratings.MAYBES).
    What others gave an image that two people review counts for nobody before both have decided."""
    if maybe not in MAYBES:
        raise LedgerError(f"maybe: got {maybe[:40]!r}; expected one of: {', '.join(MAYBES)}")
    given = Rating.stars >= int(maybe) if maybe.isdigit() else Rating.colour == maybe
    seen = or_(
        InboxEntry.reviews_wanted < 2, InboxEntry.image.in_(select(Rating.image).where(Rating.rated_by == reviewer))
    )
    return and_(InboxEntry.image.in_(select(Rating.image).where(given)), seen)
