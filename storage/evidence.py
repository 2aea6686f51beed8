"""The ledger as evidence: standing decisions with what made their images and what the checks had said; approved images
by words and by likeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from schemas.records import Decision, FindingRow, Image, InboxEntry, Spec
from schemas.review import Criterion, Result, Verdict
from schemas.spec import ImageSpec
from storage.transaction import Transactions, chunks


@dataclass(frozen=True)
class Judged:
    """An image with its standing decision."""

    image: str
    spec: ImageSpec
    verdict: Verdict
    reasons: tuple[str, ...]
    reviewer: str
    seconds: float | None
    decided_at: datetime
    results: dict[Criterion, Result]


@dataclass(frozen=True)
class Found:
    """An image of the library."""

    image: str
    project: str
    asset: str
    variant: str
    thumb_key: str
    verdict: Verdict | None
    phash: str | None
    made_at: datetime


class Evidence(Transactions):
    def judged(self, *, since: datetime, project: str | None = None, limit: int = 5_000) -> list[Judged]:
        """Newest decision first."""
        query = (
            select(Decision, Spec.body)
            .join(InboxEntry, InboxEntry.decision == Decision.id)
            .join(Spec, Spec.digest == Decision.image)
            .where(Decision.decided_at >= since)
            .order_by(Decision.id.desc())
            .limit(limit)
        )
        if project is not None:
            query = query.where(InboxEntry.project == project)
        with self.reading() as session:
            rows = session.execute(query).all()
            results: dict[str, dict[Criterion, Result]] = {decision.image: {} for decision, _ in rows}
            for chunk in chunks(results, 10_000):
                found = select(FindingRow.image, FindingRow.criterion, FindingRow.result)
                for image, criterion, result in session.execute(found.where(FindingRow.image.in_(self.listed(chunk)))):
                    results[image][Criterion(criterion)] = Result(result)
        return [
            Judged(
                image=decision.image,
                spec=ImageSpec.model_validate(body),
                verdict=Verdict(decision.verdict),
                reasons=tuple(decision.reasons),
                reviewer=decision.reviewer,
                seconds=decision.seconds,
                decided_at=decision.decided_at,
                results=results[decision.image],
            )
            for decision, body in rows
        ]

    def judged_twice(self, *, since: datetime, limit: int = 20_000) -> list[tuple[Verdict, Verdict]]:
        """What the first and the second reviewer said, for every image that two people judged."""
        several = (
            select(Decision.image)
            .where(Decision.decided_at >= since, Decision.verdict != Verdict.UNDO.value)
            .group_by(Decision.image)
            .having(func.count(Decision.reviewer.distinct()) > 1)
            .limit(limit)
        )
        query = (
            select(Decision.image, Decision.reviewer, Decision.verdict)
            .where(Decision.image.in_(several), Decision.verdict != Verdict.UNDO.value)
            .order_by(Decision.image, Decision.revision)
        )
        said: dict[str, dict[str, Verdict]] = {}
        with self.reading() as session:
            for image, reviewer, verdict in session.execute(query):
                said.setdefault(image, {}).setdefault(reviewer, Verdict(verdict))
        return [(first, second) for first, second, *_ in (list(verdicts.values()) for verdicts in said.values())]

    def library(
        self,
        words: Sequence[str] = (),
        *,
        project: str | None = None,
        approved: bool = True,
        like: str | None = None,
        limit: int = 120,
    ) -> list[Found]:
        """Images that have every word in asset, variant or prompt, newest first; with `like` (a perceptual hash) the
        most alike first."""
        query = (
            select(
                Image.digest,
                Image.project,
                Image.asset,
                Spec.variant,
                Image.thumb_key,
                Decision.verdict,
                Image.phash,
                Image.made_at,
            )
            .join(Spec, Spec.digest == Image.digest)
            .join(InboxEntry, InboxEntry.image == Image.digest)
            .join(Decision, Decision.id == InboxEntry.decision, isouter=not approved)
        )
        if approved:
            query = query.where(Decision.verdict == Verdict.APPROVE.value)
        if project is not None:
            query = query.where(Image.project == project)
        for word in words:
            places = (Spec.asset, Spec.variant, Spec.body["prompt"].as_string())
            query = query.where(or_(*(place.icontains(word, autoescape=True) for place in places)))
        if like is not None:
            query = query.where(Image.phash.is_not(None))
        ordered = query.order_by(Image.made_at.desc()).limit(limit if like is None else 100_000)
        with self.reading() as session:
            rows = [_found(row) for row in session.execute(ordered)]
        if like is not None:
            rows.sort(key=lambda found: _distance(found.phash or "", like))
        return rows[:limit]


def _found(row: Any) -> Found:
    digest, project, asset, variant, thumb_key, verdict, phash, made_at = row
    verdict = Verdict(verdict) if verdict else None
    return Found(digest, project, asset, variant, thumb_key, verdict, phash, made_at)


def _distance(one: str, other: str) -> int:
    """Bits that differ."""
    if len(one) != len(other):
        return 4 * max(len(one), len(other))
    return (int(one, 16) ^ int(other, 16)).bit_count()
