"""The ledger on reviewers: which images each has in hand, and how many each has decided.

Claims are advisory: they keep two people from looking at the same image. The revision that `Decisions.decide` compares
keeps an image from being decided twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, literal_column, or_, select

from schemas.records import Claim, Decision, InboxEntry
from schemas.review import Verdict
from storage.ledger.transaction import Transactions, list_values, now


@dataclass(frozen=True)
class InHand:
    """What somebody else has in hand."""

    reviewer: str
    images: int
    until: datetime


def select_others_hands(reviewer: str) -> ColumnElement[bool]:
    """Whether an inbox entry is looked at by as many others as it wants reviews."""
    others = (
        select(func.count())
        .where(Claim.image == InboxEntry.image, Claim.reviewer != reviewer, Claim.until > now())
        .scalar_subquery()
    )
    return others >= InboxEntry.reviews_wanted


class Reviewers(Transactions):
    def hold(self, images: Sequence[str], *, reviewer: str, seconds: float) -> set[str]:
        """Takes images in hand, or keeps them; returns those that are now this reviewer's."""
        at = now()
        with self.writing("hold") as session:
            self.alone(session, "hold")
            stale = or_(Claim.until <= at, Claim.reviewer == reviewer)
            session.execute(delete(Claim).where(Claim.image.in_(self.listed(images)), stale))
            rows = session.execute(
                select(InboxEntry.image, InboxEntry.reviews_wanted).where(
                    InboxEntry.image.in_(self.listed(images)), InboxEntry.waiting
                )
            )
            wanted = {row.image: row.reviews_wanted for row in rows}
            held = Counter(session.scalars(select(Claim.image).where(Claim.image.in_(self.listed(wanted)))))
            won = [image for image in images if image in wanted and held[image] < wanted[image]]
            until = at + timedelta(seconds=seconds)
            self.insert(session, Claim, [{"image": image, "reviewer": reviewer, "until": until} for image in won])
        return set(won)

    def take_over(self, reviewer: str) -> None:
        """Frees what others have in hand, for this reviewer to take: they went home, say."""
        with self.writing("take_over") as session:
            session.execute(delete(Claim).where(Claim.reviewer != reviewer))

    def let_go(self, reviewer: str, images: Sequence[str] | None = None) -> None:
        """Gives images back, all of them when none are named."""
        with self.writing("let_go") as session:
            query = delete(Claim).where(Claim.reviewer == reviewer)
            session.execute(query if images is None else query.where(Claim.image.in_(self.listed(images))))

    def others_hands(self, reviewer: str) -> list[InHand]:
        """Who else has what waits, most images first."""
        query = (
            select(Claim.reviewer, func.count(), func.max(Claim.until))
            .join(InboxEntry, InboxEntry.image == Claim.image)
            .where(Claim.reviewer != reviewer, Claim.until > now(), InboxEntry.waiting)
            .group_by(Claim.reviewer)
            .order_by(func.count().desc())
        )
        with self.reading() as session:
            return [InHand(*row) for row in session.execute(query)]

    def tally(self, since: datetime, *, reviewer: str | None = None) -> dict[str, int]:
        """Decisions by reviewer since then, undone ones included, undos not. For a day or so; for longer say whose."""
        # an expression, so that nobody goes through all that there is, by the index on reviewers
        who = func.coalesce(Decision.reviewer, literal_column("''")).label("who")
        query = (
            select(who, func.count())
            .where(Decision.decided_at >= since, Decision.verdict != Verdict.UNDO.value)
            .group_by(who)
        )
        if reviewer is not None:
            query = query.where(Decision.reviewer == reviewer)
        with self.reading() as session:
            return {row[0]: row[1] for row in session.execute(query)}

    def reviewers(self) -> list[str]:
        """Everybody who ever decided, in alphabetical order."""
        with self.reading() as session:
            return list(session.scalars(list_values(Decision.reviewer)))
