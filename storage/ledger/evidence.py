"""The ledger as evidence: standing decisions with what made their images and what the checks had said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select, text

from schemas.records import Decision, FindingRow, InboxEntry, Spec
from schemas.review import Criterion, Result, Verdict
from schemas.spec import ImageSpec
from storage.ledger.transaction import Transactions, chunks


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


CHUNK = 1_000
_SAID = (
    Decision.image,
    Decision.verdict,
    Decision.reasons,
    Decision.reviewer,
    Decision.seconds,
    Decision.decided_at,
)
"""What is asked of a decision: a row of the whole thing takes twice as long."""


class Evidence(Transactions):
    def judged(self, *, since: datetime, project: str | None = None, limit: int = 5_000) -> list[Judged]:
        """Those of the newest `limit` decisions that stand, newest first."""
        newest = select(Decision.id).where(Decision.decided_at >= since)
        if project is not None:
            newest = newest.where(Decision.project == project)
        rows: list[Any] = []
        results: dict[str, dict[Criterion, Result]] = {}
        with self.reading() as session:
            # 1. The order from an index alone; a planner that is asked for all at once may read all before it sorts.
            page = session.scalars(newest.order_by(Decision.decided_at.desc(), Decision.id.desc()).limit(limit)).all()
            # 2. The rest by key.
            for chunk in chunks(page, CHUNK):
                query = (
                    select(*_SAID, Spec.body)
                    .join(InboxEntry, and_(InboxEntry.image == Decision.image, InboxEntry.decision == Decision.id))
                    .join(Spec, Spec.digest == Decision.image)
                    .where(Decision.id.in_(chunk))
                    .order_by(Decision.decided_at.desc(), Decision.id.desc())
                )
                found = session.execute(query).all()
                listed = self.listed(row.image for row in found)
                seen = select(FindingRow.image, FindingRow.criterion, FindingRow.result)
                for image, criterion, result in session.execute(seen.where(FindingRow.image.in_(listed))):
                    results.setdefault(image, {})[Criterion(criterion)] = Result(result)
                rows += found
        return [
            Judged(
                image=image,
                spec=ImageSpec.model_validate(body),
                verdict=Verdict(verdict),
                reasons=tuple(reasons),
                reviewer=reviewer,
                seconds=seconds,
                decided_at=decided_at,
                results=results.get(image, {}),
            )
            for image, verdict, reasons, reviewer, seconds, decided_at, body in rows
        ]

    def judged_twice(self, *, since: datetime, limit: int = 5_000) -> list[tuple[Verdict, Verdict]]:
        """What the first and the second reviewer said of images that two people judged: the newest `limit` that were
        decided more than once."""
        several = (
            select(Decision.image)
            .where(Decision.decided_at >= since, text("decisions.revision = 2"))
            .order_by(Decision.decided_at.desc())
            .limit(limit)
        )
        said: dict[str, dict[str, Verdict]] = {}
        with self.reading() as session:
            for chunk in chunks(session.scalars(several).all(), 1_000):
                query = (
                    select(Decision.image, Decision.reviewer, Decision.verdict)
                    .where(Decision.image.in_(self.listed(chunk)), Decision.verdict != Verdict.UNDO.value)
                    .order_by(Decision.image, Decision.revision)
                )
                for image, reviewer, verdict in session.execute(query):
                    said.setdefault(image, {}).setdefault(reviewer, Verdict(verdict))
        return [(first, second) for first, second, *_ in (list(v.values()) for v in said.values() if len(v) > 1)]
