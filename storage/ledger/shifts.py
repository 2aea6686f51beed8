"""The ledger on shifts: how each flow run that made one ended, as the run itself says it.

A run that was killed says nothing, and nothing is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import select

from schemas.records import ShiftRun
from storage.ledger.transaction import Transactions, now


class Shifts(Transactions):
    def end_shift_run(
        self,
        flow_run: str,
        *,
        night: int,
        affinity_key: str,
        outcome: str,
        message: str = "",
        notes: Mapping[str, int] | None = None,
    ) -> None:
        """Once a flow run; saying it again changes nothing."""
        row = {
            "flow_run": flow_run,
            "night": night,
            "affinity_key": affinity_key,
            "outcome": outcome,
            "message": message.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            "notes": dict(notes or {}),
            "ended_at": now(),
        }
        with self.writing("end_shift_run") as session:
            self.insert(session, ShiftRun, [row], skip_known=True)

    def shift_run(self, flow_run: str) -> ShiftRun | None:
        with self.reading() as session:
            return session.get(ShiftRun, flow_run)

    def shift_runs(self, night: int) -> list[ShiftRun]:
        """Of one night, oldest first."""
        with self.reading() as session:
            query = select(ShiftRun).where(ShiftRun.night == night)
            return list(session.scalars(query.order_by(ShiftRun.ended_at, ShiftRun.flow_run)))

    def shift_notes(self, night: int) -> Counter[str]:
        """What the engine said in that night, and of how many images."""
        notes: Counter[str] = Counter()
        for end in self.shift_runs(night):
            notes.update(end.notes)
        return notes
