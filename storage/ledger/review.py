"""The ledger on review: what waits to be looked at, and what two reviewers differ on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, func, literal, or_, select, text, tuple_
from sqlalchemy.orm import Session, aliased

from schemas.errors import LedgerError
from schemas.records import Decision, FindingRow, Image, InboxEntry, Spec
from schemas.review import Criterion, Result, Verdict
from schemas.settings import LEADS
from storage.ledger.playlists import is_in, place_in
from storage.ledger.ratings import is_rated
from storage.ledger.reviewers import select_others_hands
from storage.ledger.standing import do_differ, list_counting
from storage.ledger.transaction import Transactions


@dataclass(frozen=True)
class InboxItem:
    """An image that waits for a decision."""

    digest: str
    project: str
    asset: str
    variant: str
    tier: str
    take: int
    rank: int
    criteria: tuple[Criterion, ...]
    reviews_wanted: int
    steps: tuple[str, ...]
    """Of the review; empty: anybody, once."""
    step: str | None
    """Whose turn it is."""
    revision: int
    queued_at: datetime
    object_key: str
    preview_key: str
    thumb_key: str
    width: int
    height: int
    results: dict[Criterion, Result]
    """What each check found, in short."""


class InboxPlace(NamedTuple):
    """An image's place in a list of what waits, and the revision that a decision from that list is guarded by."""

    digest: str
    revision: int
    project: str
    asset: str


@dataclass(frozen=True)
class InboxCount:
    project: str
    asset: str
    waiting: int


@dataclass(frozen=True)
class Conflict:
    """Reviewers disagree about an image, and nobody has settled it."""

    image: str
    project: str
    asset: str
    decisions: tuple[Decision, ...]
    """Those that count."""


DIFFERING = text("inbox.revision >= 2 AND inbox.reviews_wanted > 1")
"""As in the index ix_inbox_differing: without parameters, so that it is recognised."""


class Review(Transactions):
    def inbox(
        self,
        *,
        project: str | None = None,
        asset: str | None = None,
        check: Criterion | str | None = None,
        maybe: str | None = None,
        reviewer: str | None = None,
        others_steps: Collection[str] = (),
        playlists: Sequence[int] | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> list[InboxItem]:
        """What waits, most urgent first.

        `check`: only what this check flagged. `maybe`: only what is rated so (schemas.ratings.MAYBES). `reviewer`:
        without images on which this person's decision counts already (the second review of a double one is another's),
        and without what others have in hand. `after`: digest of the last image of the page before, which may have left
        the inbox since. `others_steps`: without what waits at these steps. `playlists`: only theirs, in their order.
        """
        order = (InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
        place = tuple_(*order)
        wanted = _list_conditions(
            project=project, asset=asset, check=check, maybe=maybe, reviewer=reviewer, others=others_steps
        )
        if playlists is not None:
            wanted.append(is_in(playlists))
            order = (place_in(playlists), *order)  # type: ignore[assignment]
        with self.reading() as session:
            if after is not None:
                last = session.get(InboxEntry, after)
                if last is None:
                    raise LedgerError(f"there is no image {after}")
                wanted.append(place > tuple_(literal(last.rank), literal(last.queued_at), literal(last.image)))
            page = select(InboxEntry.image).where(*wanted).order_by(*order).limit(limit)
            digests = list(session.scalars(page))
            items = {item.digest: item for item in self._items(session, digests)}
        return [items[digest] for digest in digests]

    def inbox_order(
        self,
        *,
        project: str | None = None,
        asset: str | None = None,
        check: Criterion | str | None = None,
        maybe: str | None = None,
        reviewer: str | None = None,
        others_steps: Collection[str] = (),
        by_asset: bool = False,
    ) -> list[InboxPlace]:
        """All that waits under a filter, in the inbox's order or, `by_asset`, asset by asset: four short values an
        image, so that a page over a hundred thousand knows the order of all and the details of those on screen."""
        wanted = _list_conditions(
            project=project, asset=asset, check=check, maybe=maybe, reviewer=reviewer, others=others_steps
        )
        first = (InboxEntry.project, InboxEntry.asset) if by_asset else ()
        query = select(InboxEntry.image, InboxEntry.revision, InboxEntry.project, InboxEntry.asset).where(*wanted)
        order = (*first, InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
        with self.reading() as session:
            return [InboxPlace(*row) for row in session.execute(query.order_by(*order)).tuples()]

    def inbox_items(self, digests: Sequence[str]) -> list[InboxItem]:
        """These images, in this order, whether they still wait or not; what is none is left out."""
        with self.reading() as session:
            found = {item.digest: item for item in self._items(session, digests)}
        return [found[digest] for digest in digests if digest in found]

    def _items(self, session: Session, digests: Sequence[str]) -> list[InboxItem]:
        results: dict[str, dict[Criterion, Result]] = {digest: {} for digest in digests}
        listed = self.listed(digests)
        found = select(FindingRow.image, FindingRow.criterion, FindingRow.result).where(FindingRow.image.in_(listed))
        for image, criterion, result in session.execute(found):
            results[image][Criterion(criterion)] = Result(result)
        rows = session.execute(
            select(InboxEntry, Image, Spec.variant, Spec.tier, Spec.take)
            .join(Image, Image.digest == InboxEntry.image)
            .join(Spec, Spec.digest == InboxEntry.image)
            .where(InboxEntry.image.in_(listed))
            .order_by(InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
        )
        return [
            InboxItem(
                digest=entry.image,
                project=entry.project,
                asset=entry.asset,
                variant=variant,
                tier=tier,
                take=take,
                rank=entry.rank,
                criteria=tuple(map(Criterion, entry.criteria)),
                reviews_wanted=entry.reviews_wanted,
                steps=tuple(entry.steps),
                step=entry.step,
                revision=entry.revision,
                queued_at=entry.queued_at,
                object_key=image.object_key,
                preview_key=image.preview_key,
                thumb_key=image.thumb_key,
                width=image.width,
                height=image.height,
                results=results[entry.image],
            )
            for entry, image, variant, tier, take in rows
        ]

    def waiting_steps(self) -> dict[str, int]:
        """How many wait for each step of a review."""
        query = select(InboxEntry.step, func.count()).where(InboxEntry.waiting, InboxEntry.step.is_not(None))
        with self.reading() as session:
            return {str(step): many for step, many in session.execute(query.group_by(InboxEntry.step))}

    def inbox_counts(self, *, project: str | None = None) -> list[InboxCount]:
        """How many wait, by project and asset, in alphabetical order."""
        query = (
            select(InboxEntry.project, InboxEntry.asset, func.count())
            .where(InboxEntry.waiting)
            .group_by(InboxEntry.project, InboxEntry.asset)
            .order_by(InboxEntry.project, InboxEntry.asset)
        )
        if project is not None:
            query = query.where(InboxEntry.project == project)
        with self.reading() as session:
            return [InboxCount(*row) for row in session.execute(query)]

    def conflicts(self, *, project: str | None = None, limit: int = 1_000) -> list[Conflict]:
        """Images that two reviewers judged differently and that nobody has settled, as they come in the inbox; those
        among the first `limit` that were decided more than once."""
        query = select(InboxEntry).where(InboxEntry.waiting, DIFFERING)
        if project is not None:
            query = query.where(InboxEntry.project == project)
        page = query.order_by(InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image).limit(limit)
        found = []
        with self.reading() as session:
            entries = session.scalars(page).all()
            said: dict[str, list[Decision]] = {entry.image: [] for entry in entries}
            for decision in session.scalars(select(Decision).where(Decision.image.in_(self.listed(said)))):
                said[decision.image].append(decision)
        for entry in entries:
            if do_differ(said[entry.image], wanted=entry.reviews_wanted):
                counted = tuple(list_counting(said[entry.image], wanted=entry.reviews_wanted))
                found.append(Conflict(entry.image, entry.project, entry.asset, counted))
        return found


def _list_conditions(
    *,
    project: str | None,
    asset: str | None,
    check: Criterion | str | None,
    maybe: str | None,
    reviewer: str | None,
    others: Collection[str],
) -> list[ColumnElement[bool]]:
    """As `Review.inbox` describes them."""
    wanted: list[ColumnElement[bool]] = [InboxEntry.waiting.expression]
    if project is not None:
        wanted.append(InboxEntry.project == project)
    if asset is not None:
        wanted.append(InboxEntry.asset == asset)
    if check is not None:
        wanted.append(InboxEntry.flags.contains(f" {Criterion(check).value} ", autoescape=True))
    if maybe is not None:
        wanted.append(is_rated(maybe, reviewer))
    if reviewer is not None:
        wanted.append(or_(InboxEntry.revision == 0, ~_counts_for(reviewer)))
        wanted.append(~select_others_hands(reviewer))
    if others:
        wanted.append(or_(InboxEntry.step.is_(None), InboxEntry.step.not_in(sorted(others))))
    return wanted


def _counts_for(reviewer: str) -> ColumnElement[bool]:
    """Whether a decision of this reviewer counts on an entry that waits: `standing.list_counting`, in SQL."""
    later = aliased(Decision)
    taken_back = exists().where(
        later.image == Decision.image,
        later.revision > Decision.revision,
        later.verdict == Verdict.UNDO.value,
        or_(later.reviewer == reviewer, later.role.in_(LEADS)),
    )
    # Counted, and with an expression for the reviewer, so that the few decisions on one entry are looked at and not all
    # that she ever took.
    hers = select(func.count()).where(
        Decision.image == InboxEntry.image,
        Decision.reviewer.concat("") == reviewer,
        Decision.verdict != Verdict.UNDO.value,
        ~taken_back,
    )
    return hers.scalar_subquery() > 0
