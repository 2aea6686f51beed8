"""The ledger on the reviewers themselves: how much each has decided."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from schemas.records import Decision
from schemas.review import Verdict
from storage.transaction import Transactions


class Watching(Transactions):
    def tally(self, since: datetime) -> dict[str, int]:
        """Decisions by reviewer since then, undone ones included, undos not."""
        query = (
            select(Decision.reviewer, func.count())
            .where(Decision.decided_at >= since, Decision.verdict != Verdict.UNDO.value)
            .group_by(Decision.reviewer)
        )
        with self.reading() as session:
            return {reviewer: count for reviewer, count in session.execute(query)}  # noqa: C416
