"""The ledger on what there is to see: an asset's images, their lines of takes, the trail of decisions, the counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, exists, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from schemas.errors import LedgerError
from schemas.records import Decision, Delivery, Image, InboxEntry, Retake, Spec, Submission
from schemas.review import Verdict
from storage.ledger.transaction import Transactions, list_values


@dataclass(frozen=True)
class Frame:
    """A spec and what became of it so far, small enough for a contact sheet."""

    digest: str
    variant: str
    tier: str
    take: int
    parent: str | None
    thumb_key: str | None
    """None: not made yet."""
    preview_key: str | None
    made_at: datetime | None
    waiting: bool
    """For a person to look at it."""
    verdict: Verdict | None
    """Of the decision that stands."""


@dataclass(frozen=True)
class Decided:
    decision: Decision
    project: str
    asset: str
    variant: str
    stands: bool


@dataclass(frozen=True)
class AssetCount:
    project: str
    asset: str
    asked: int
    """Specs, retakes included."""
    made: int
    waiting: int
    """For a person."""
    approved: int
    rejected: int
    sent_back: int
    delivered: int


class History(Transactions):
    def lineage(self, digest: str) -> list[Frame]:
        """The line of takes that this spec belongs to: its first ancestor and all that came of that, by take."""
        with self.reading() as session:
            return find_line(session, digest)

    def contact_sheet(self, project: str, asset: str, *, limit: int | None = None) -> list[Frame]:
        """Every spec of an asset, made or not, by variant and take."""
        query = select_frames().where(Spec.project == project, Spec.asset == asset).limit(limit)
        with self.reading() as session:
            return make_frames(session, query.order_by(Spec.variant, Spec.take, Spec.planned_at, Spec.digest))

    def decisions(
        self,
        *,
        project: str | None = None,
        asset: str | None = None,
        reviewer: str | None = None,
        verdict: Verdict | str | None = None,
        image: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int | None = 200,
        blind_to: str | None = None,
    ) -> list[Decided]:
        """The audit trail, newest first. `before`: id of the last decision of the page before. `blind_to`: without what
        others decided on images that wait for a second review, which this reviewer must not see yet."""
        place = tuple_(Decision.decided_at, Decision.id)
        query = (
            select(Decision, Decision.project, Image.asset, Spec.variant, InboxEntry.decision == Decision.id)
            .join(Image, Image.digest == Decision.image)
            .join(Spec, Spec.digest == Decision.image)
            .join(InboxEntry, InboxEntry.image == Decision.image)
            .order_by(Decision.decided_at.desc(), Decision.id.desc())
            .limit(limit)
        )
        columns: dict[Any, str | None] = {
            Decision.project: project,
            Image.asset: asset,
            Decision.reviewer: reviewer,
            Decision.image: image,
        }
        columns[Decision.verdict] = str(verdict) if verdict is not None else None
        query = query.where(*(column == given for column, given in columns.items() if given is not None))
        if blind_to is not None:
            second = and_(InboxEntry.waiting, InboxEntry.reviews_wanted > 1)
            query = query.where(or_(~second, Decision.reviewer == blind_to))
        if since is not None:
            query = query.where(Decision.decided_at >= since)
        if until is not None:
            query = query.where(Decision.decided_at < until)
        with self.reading() as session:
            if before is not None:
                last = session.get(Decision, before)
                if last is None:
                    raise LedgerError(f"there is no decision {before}")
                query = query.where(place < tuple_(literal(last.decided_at), literal(last.id)))
            return [Decided(row[0], row[1], row[2], row[3], bool(row[4])) for row in session.execute(query)]

    def undoable(self, reviewer: str, *, limit: int = 50) -> list[Decided]:
        """This reviewer's newest decisions that can be taken back, newest first: nobody decided on the image since, and
        no retake of it was planned. The guard at deciding has the last word."""
        query = (
            select(Decision, Decision.project, Image.asset, Spec.variant, InboxEntry.decision == Decision.id)
            .join(Image, Image.digest == Decision.image)
            .join(Spec, Spec.digest == Decision.image)
            .join(InboxEntry, InboxEntry.image == Decision.image)
            .where(
                Decision.reviewer == reviewer,
                Decision.verdict != Verdict.UNDO.value,
                Decision.revision == InboxEntry.revision,
                ~exists().where(Retake.decision == Decision.id, Retake.child.is_not(None)),
            )
            .order_by(Decision.decided_at.desc(), Decision.id.desc())
            .limit(limit)
        )
        with self.reading() as session:
            return [Decided(row[0], row[1], row[2], row[3], bool(row[4])) for row in session.execute(query)]

    def assets(self, project: str | None = None) -> list[AssetCount]:
        """By project and asset, in alphabetical order. Counted in three indexes, without a look at a row."""
        with self.reading() as session:
            asked = _counted(session, project, Spec.project, Spec.asset)
            stands = _counted(session, project, InboxEntry.project, InboxEntry.asset, InboxEntry.verdict)
            delivered = _counted(session, project, Delivery.project, Delivery.asset)
        found = []
        for key in sorted(asked):
            waiting, approved, rejected, sent_back = (
                stands.get((*key, verdict), 0) for verdict in (None, "approve", "reject", "retake")
            )
            made = waiting + approved + rejected + sent_back
            states = (waiting, approved, rejected, sent_back, delivered.get(key, 0))
            found.append(AssetCount(key[0], key[1], asked[key], made, *states))
        return found

    def projects(self) -> list[str]:
        """Every project that was ever submitted or planned, in alphabetical order."""
        with self.reading() as session:
            planned = session.scalars(list_values(Spec.project)).all()
            return sorted({*planned, *session.scalars(list_values(Submission.project))})


def _counted(session: Session, project: str | None, *by: Any) -> dict[tuple[Any, ...], int]:
    """Rows by these columns, of which the first is the project."""
    query = select(*by, func.count()).group_by(*by)
    if project is not None:
        query = query.where(by[0] == project)
    return {tuple(row[:-1]): row[-1] for row in session.execute(query)}


def select_frames() -> Select[Any]:
    columns: tuple[Any, ...] = (
        Spec.digest,
        Spec.variant,
        Spec.tier,
        Spec.take,
        Spec.parent,
        Image.thumb_key,
        Image.preview_key,
        Image.made_at,
        func.coalesce(InboxEntry.waiting, False).label("waiting"),
        Decision.verdict,
    )
    return (
        select(*columns)
        .outerjoin(Image, Image.digest == Spec.digest)
        .outerjoin(InboxEntry, InboxEntry.image == Spec.digest)
        .outerjoin(Decision, Decision.id == InboxEntry.decision)
    )


def make_frames(session: Session, query: Select[Any]) -> list[Frame]:
    frames = []
    for row in session.execute(query):
        values = dict(row._mapping)
        verdict = values["verdict"]
        frames.append(Frame(**values | {"waiting": bool(values["waiting"]), "verdict": verdict and Verdict(verdict)}))
    return frames


def find_line(session: Session, digest: str) -> list[Frame]:
    up = select(Spec.digest, Spec.parent).where(Spec.digest == digest).cte("up", recursive=True)
    older = aliased(Spec)
    up = up.union(select(older.digest, older.parent).join(up, older.digest == up.c.parent))
    first = select(up.c.digest).where(up.c.parent.is_(None))
    down = select(Spec.digest.label("digest")).where(Spec.digest.in_(first)).cte("down", recursive=True)
    younger = aliased(Spec)
    down = down.union(select(younger.digest).join(down, younger.parent == down.c.digest))
    query = select_frames().where(Spec.digest.in_(select(down.c.digest)))
    return make_frames(session, query.order_by(Spec.take, Spec.planned_at, Spec.digest))
