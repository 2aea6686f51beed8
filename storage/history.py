"""The ledger on what there is to see: one image with everything about it, an asset's images, the trail of decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from schemas.errors import LedgerError
from schemas.manifest import BrandGuide
from schemas.records import Decision, Delivery, FindingRow, Image, InboxEntry, Order, Retake, Spec, Submission
from schemas.review import Finding, Verdict
from schemas.spec import ImageSpec
from storage.transaction import Transactions, values_of


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
class Picture:
    """An image and everything that is known about it, as of one moment."""

    image: Image
    spec: ImageSpec
    entry: InboxEntry
    findings: tuple[Finding, ...]
    decisions: tuple[Decision, ...]
    """All of them, oldest first."""
    standing: Decision | None
    retakes: tuple[Retake, ...]
    """What became of decisions that asked for another image."""
    line: tuple[Frame, ...]
    """Its lineage, itself included, oldest take first."""
    submission: str | None
    submission_name: str
    submitted_by: str
    brand: BrandGuide

    @property
    def revision(self) -> int:
        """What a Choice on this picture must carry."""
        return self.entry.revision


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
    def matching(self, start: str, *, most: int = 3) -> list[str]:
        """Digests of images that begin so, `most` of them at most: for people, who say only the first letters."""
        with self.reading() as session:
            within = Image.digest.between(start, start + "g")  # digests are hexadecimal
            return list(session.scalars(select(Image.digest).where(within).order_by(Image.digest).limit(most)))

    def picture(self, digest: str) -> Picture:
        """LedgerError when there is no such image."""
        with self.reading() as session:
            image, entry = session.get(Image, digest), session.get(InboxEntry, digest)
            spec = session.get(Spec, digest)
            if image is None or entry is None or spec is None:
                raise LedgerError(f"there is no image {digest}")
            decisions = session.scalars(
                select(Decision).where(Decision.image == digest).order_by(Decision.revision)
            ).all()
            found = session.scalars(
                select(FindingRow)
                .where(FindingRow.image == digest)
                .order_by(FindingRow.score.desc(), FindingRow.criterion)
            )
            asked = session.execute(
                select(Submission.digest, Submission.name, Submission.submitted_by, Submission.body["brand"])
                .join(Order, Order.submission == Submission.digest)
                .where(Order.spec == digest)
                .order_by(Submission.submitted_at, Submission.digest)
                .limit(1)
            ).first()
            return Picture(
                image=image,
                spec=ImageSpec.model_validate(spec.body),
                entry=entry,
                findings=tuple(_finding(row) for row in found),
                decisions=tuple(decisions),
                standing=next((decision for decision in decisions if decision.id == entry.decision), None),
                retakes=tuple(session.scalars(select(Retake).where(Retake.parent == digest).order_by(Retake.decision))),
                line=tuple(_line(session, digest)),
                submission=asked[0] if asked else None,
                submission_name=asked[1] if asked else "",
                submitted_by=asked[2] if asked else spec.submitted_by,
                brand=BrandGuide.model_validate(asked[3] or {}) if asked else BrandGuide(),
            )

    def lineage(self, digest: str) -> list[Frame]:
        """The line of takes that this spec belongs to: its first ancestor and all that came of that, by take."""
        with self.reading() as session:
            return _line(session, digest)

    def contact_sheet(self, project: str, asset: str, *, limit: int | None = None) -> list[Frame]:
        """Every spec of an asset, made or not, by variant and take."""
        query = _frames().where(Spec.project == project, Spec.asset == asset).limit(limit)
        with self.reading() as session:
            return _framed(session, query.order_by(Spec.variant, Spec.take, Spec.planned_at, Spec.digest))

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
    ) -> list[Decided]:
        """The audit trail, newest first. `before`: id of the last decision of the page before."""
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
        if since is not None:
            query = query.where(Decision.decided_at >= since)
        if until is not None:
            query = query.where(Decision.decided_at < until)
        with self.reading() as session:
            if before is not None:
                last = session.get(Decision, before)
                if last is None:
                    raise LedgerError(f"there is no decision {before}")
                query = query.where(place < tuple_(last.decided_at, last.id))
            return [Decided(*row[:4], bool(row[4])) for row in session.execute(query)]

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
            planned = session.scalars(values_of(Spec.project)).all()
            return sorted({*planned, *session.scalars(values_of(Submission.project))})


def _finding(row: FindingRow) -> Finding:
    return Finding.model_validate(
        {
            "check": row.criterion,
            "result": row.result,
            "score": row.score,
            "sentence": row.sentence,
            "regions": row.regions,
            "data": row.data,
        }
    )


def _counted(session: Session, project: str | None, *by: Any) -> dict[tuple[Any, ...], int]:
    """Rows by these columns, of which the first is the project."""
    query = select(*by, func.count()).group_by(*by)
    if project is not None:
        query = query.where(by[0] == project)
    return {tuple(row[:-1]): row[-1] for row in session.execute(query)}


def _frames() -> Select[Any]:
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


def _framed(session: Session, query: Select[Any]) -> list[Frame]:
    frames = []
    for row in session.execute(query):
        values = dict(row._mapping)
        verdict = values["verdict"]
        frames.append(Frame(**values | {"waiting": bool(values["waiting"]), "verdict": verdict and Verdict(verdict)}))
    return frames


def _line(session: Session, digest: str) -> list[Frame]:
    up = select(Spec.digest, Spec.parent).where(Spec.digest == digest).cte("up", recursive=True)
    older = aliased(Spec)
    up = up.union(select(older.digest, older.parent).join(up, older.digest == up.c.parent))
    first = select(up.c.digest).where(up.c.parent.is_(None))
    down = select(Spec.digest.label("digest")).where(Spec.digest.in_(first)).cte("down", recursive=True)
    younger = aliased(Spec)
    down = down.union(select(younger.digest).join(down, younger.parent == down.c.digest))
    query = _frames().where(Spec.digest.in_(select(down.c.digest)))
    return _framed(session, query.order_by(Spec.take, Spec.planned_at, Spec.digest))
