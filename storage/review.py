"""The ledger on review: what waits to be looked at, and what was decided. The rule itself is storage/standing.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, or_, select, text, tuple_, update
from sqlalchemy.orm import Session, aliased

from schemas.errors import LedgerError, NotAllowed, StaleDecision
from schemas.records import Decision, FindingRow, Image, InboxEntry, Retake, Spec
from schemas.review import Choice, Criterion, Result, Verdict
from storage.standing import LEADS, ROLES, counting, differ, standing
from storage.transaction import Transactions, now
from storage.watching import in_others_hands


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
    revision: int
    queued_at: datetime
    object_key: str
    preview_key: str
    thumb_key: str
    width: int
    height: int
    results: dict[Criterion, Result]
    """What each check found, in short."""


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
        reviewer: str | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> list[InboxItem]:
        """What waits, most urgent first.

        `check`: only what this check flagged. `reviewer`: without images on which this person's decision counts
        already (the second review of a double one is another's), and without what others have in hand. `after`: digest
        of the last image of the page before, which may have left the inbox since.
        """
        place = tuple_(InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
        wanted: list[ColumnElement[bool]] = [InboxEntry.waiting.expression]
        if project is not None:
            wanted.append(InboxEntry.project == project)
        if asset is not None:
            wanted.append(InboxEntry.asset == asset)
        if check is not None:
            wanted.append(InboxEntry.flags.contains(f" {Criterion(check).value} ", autoescape=True))
        if reviewer is not None:
            wanted.append(or_(InboxEntry.revision == 0, ~_counts_for(reviewer)))
            wanted.append(~in_others_hands(reviewer))
        with self.reading() as session:
            if after is not None:
                last = session.get(InboxEntry, after)
                if last is None:
                    raise LedgerError(f"there is no image {after}")
                wanted.append(place > tuple_(last.rank, last.queued_at, last.image))
            page = (
                select(InboxEntry.image)
                .where(*wanted)
                .order_by(InboxEntry.rank, InboxEntry.queued_at, InboxEntry.image)
            )
            return self._items(session, list(session.scalars(page.limit(limit))))

    def _items(self, session: Session, digests: Sequence[str]) -> list[InboxItem]:
        results: dict[str, dict[Criterion, Result]] = {digest: {} for digest in digests}
        found = select(FindingRow.image, FindingRow.criterion, FindingRow.result).where(FindingRow.image.in_(digests))
        for image, criterion, result in session.execute(found):
            results[image][Criterion(criterion)] = Result(result)
        rows = session.execute(
            select(InboxEntry, Image, Spec.variant, Spec.tier, Spec.take)
            .join(Image, Image.digest == InboxEntry.image)
            .join(Spec, Spec.digest == InboxEntry.image)
            .where(InboxEntry.image.in_(digests))
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
            if differ(said[entry.image], wanted=entry.reviews_wanted):
                counted = tuple(counting(said[entry.image], wanted=entry.reviews_wanted))
                found.append(Conflict(entry.image, entry.project, entry.asset, counted))
        return found

    def decide(self, choice: Choice, *, reviewer: str, role: str = "reviewer") -> int:
        """Appends a decision and moves the inbox entry, in one transaction; returns the image's new revision.

        Raises StaleDecision when the image was decided since the page was drawn, NotAllowed when the role does not
        permit it or there is nothing to take back.
        """
        if role not in ROLES:
            raise NotAllowed(f"{reviewer} is {role}; deciding takes one of {', '.join(sorted(ROLES))}")
        if not reviewer.strip():
            raise NotAllowed("a decision needs the name of who takes it")
        with self.writing("decide") as session:
            # 1. The guard: only a page that saw the newest revision gets past it, one at a time.
            guarded = session.execute(
                update(InboxEntry)
                .where(InboxEntry.image == choice.image, InboxEntry.revision == choice.revision)
                .values(revision=InboxEntry.revision + 1)
                .returning(InboxEntry.reviews_wanted, InboxEntry.project)
                .execution_options(synchronize_session=False)
            ).first()
            before = _of(session, choice.image) if choice.revision or guarded is None else []
            if guarded is None:
                raise StaleDecision(_what_came_between(choice, before, session.get(InboxEntry, choice.image)))
            wanted, project = guarded
            # 2. Whether this person may.
            holds = standing(before, wanted=wanted)
            if choice.verdict is Verdict.UNDO:
                _may_undo(session, before, holds, wanted=wanted, reviewer=reviewer, role=role)
            elif holds is not None and holds.reviewer != reviewer and role not in LEADS:
                raise NotAllowed(f"{_said(holds)}; only a lead can decide otherwise")
            elif holds is not None and holds.role in LEADS and role not in LEADS:
                raise NotAllowed(f"{_said(holds)}, as {holds.role}; only a lead can decide otherwise")
            # 3. The decision, and what follows from it.
            body = choice.model_dump(mode="json")
            decision = Decision(
                image=choice.image,
                project=project,
                revision=choice.revision + 1,
                verdict=choice.verdict.value,
                marks=body["marks"],
                reasons=body["reasons"],
                regions=body["regions"],
                note=choice.note,
                changes=choice.changes.model_dump(mode="json", exclude_defaults=True) if choice.changes else None,
                reviewer=reviewer,
                role=role,
                seconds=choice.seconds,
                decided_at=now(),
            )
            session.add(decision)
            session.flush()
            stands = standing([*before, decision], wanted=wanted)
            session.execute(
                update(InboxEntry)
                .where(InboxEntry.image == choice.image)
                .values(
                    waiting=stands is None,
                    decision=stands.id if stands else None,
                    verdict=stands.verdict if stands else None,
                )
                .execution_options(synchronize_session=False)
            )
        return choice.revision + 1


def _counts_for(reviewer: str) -> ColumnElement[bool]:
    """Whether a decision of this reviewer counts on an entry that waits: storage.standing.counting, in SQL."""
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


def _of(session: Session, image: str) -> list[Decision]:
    return list(session.scalars(select(Decision).where(Decision.image == image).order_by(Decision.revision)))


def _may_undo(
    session: Session,
    decisions: Iterable[Decision],
    holds: Decision | None,
    *,
    wanted: int,
    reviewer: str,
    role: str,
) -> None:
    count = counting(decisions, wanted=wanted)
    if not count:
        raise NotAllowed("there is nothing to take back: no decision on this image counts")
    if role not in LEADS and all(decision.reviewer != reviewer for decision in count):
        raise NotAllowed(f"{_said(count[-1])}; only {count[-1].reviewer} or a lead can take that back")
    if role not in LEADS and holds is not None and holds.role in LEADS and holds.reviewer != reviewer:
        raise NotAllowed(f"{_said(holds)}, as {holds.role}; only a lead can take that back")
    retake = session.get(Retake, holds.id) if holds is not None else None
    if retake is not None and retake.child is not None:
        raise NotAllowed(
            f"{_said(holds)}, and that was planned at {retake.planned_at:%Y-%m-%d %H:%M} UTC as {retake.child[:12]}; "  # type: ignore[arg-type]
            "it cannot be taken back any more, but another decision can replace it"
        )


def _what_came_between(choice: Choice, decisions: Sequence[Decision], entry: InboxEntry | None) -> str:
    if entry is None:
        return f"there is no image {choice.image} in the inbox"
    since = [_said(decision) for decision in decisions if decision.revision > choice.revision]
    if not since:
        return f"revision {choice.revision} of {choice.image[:12]} came, it is at {entry.revision}; load it again"
    return f"{'; then '.join(since)}. Your {choice.verdict} was not recorded"


def _said(decision: Decision) -> str:
    what = {Verdict.APPROVE: "approved it", Verdict.REJECT: "rejected it", Verdict.RETAKE: "asked for a retake"}
    said = what.get(Verdict(decision.verdict), "took the decision back")
    return f"{decision.reviewer} {said} at {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC"
