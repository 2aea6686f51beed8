"""The ledger on itself in numbers, for monitoring: short queries on indexes, so that asking every 15 s is cheap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select

from schemas.records import Decision, Failure, Image, InboxEntry, Job, Night, Spec
from storage.ledger.transaction import Transactions, now

NEWEST = 500
"""Images whose stages and batches are averaged."""


@dataclass
class Numbers:
    """As of one moment; what says `day` is of the last 24 hours."""

    waiting: dict[int, int] = field(default_factory=dict)
    """Specs to make, by priority."""
    set_aside: int = 0
    inbox: int = 0
    live_leases: int = 0
    expired_leases: int = 0
    made_day: int = 0
    gpu_seconds_day: float = 0.0
    failures_day: dict[str, int] = field(default_factory=dict)
    decisions_day: int = 0
    review_seconds: float = 0.0
    """Mean seconds an image was looked at, over a day's decisions."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Mean seconds an image, by stage, over the newest images."""
    batch_size: float = 0.0
    open_nights: int = 0


class Gauges(Transactions):
    def numbers(self) -> Numbers:
        at, day = now(), now() - timedelta(days=1)
        open_job = (Job.done_at.is_(None), Job.set_aside_at.is_(None))
        with self.reading() as session:

            def count(table: object, *where: object) -> int:
                return session.scalar(select(func.count()).select_from(table).where(*where)) or 0  # type: ignore[arg-type]

            by_priority = (
                select(Spec.priority, func.count())
                .join(Job, Job.spec == Spec.digest)
                .where(*open_job)
                .group_by(Spec.priority)
            )
            causes = select(Failure.cause, func.count()).where(Failure.failed_at >= day).group_by(Failure.cause)
            made = session.execute(
                select(func.count(), func.coalesce(func.sum(Image.gpu_seconds), 0.0)).where(Image.made_at >= day)
            ).one()
            decided = session.execute(
                select(func.count(), func.coalesce(func.avg(Decision.seconds), 0.0)).where(Decision.decided_at >= day)
            ).one()
            newest = session.execute(
                select(Image.timings, Image.batch).order_by(Image.made_at.desc()).limit(NEWEST)
            ).all()
            stages: Counter[str] = Counter()
            for timings, _ in newest:
                stages.update({stage: float(seconds) for stage, seconds in timings.items()})
            sizes = [float(batch.get("size", 1)) for _, batch in newest]
            return Numbers(
                waiting={row[0]: row[1] for row in session.execute(by_priority)},
                set_aside=count(Job, Job.set_aside_at.is_not(None)),
                inbox=count(InboxEntry, InboxEntry.waiting),
                live_leases=count(Job, Job.leased_by.is_not(None), Job.leased_until >= at),
                expired_leases=count(Job, Job.leased_by.is_not(None), Job.leased_until < at),
                made_day=made[0],
                gpu_seconds_day=float(made[1]),
                failures_day={row[0]: row[1] for row in session.execute(causes)},
                decisions_day=decided[0],
                review_seconds=float(decided[1]),
                stage_seconds={stage: seconds / len(newest) for stage, seconds in sorted(stages.items())},
                batch_size=sum(sizes) / len(sizes) if sizes else 0.0,
                open_nights=count(Night, Night.ended_at.is_(None)),
            )

    def work_in_hand(self) -> str:
        """Who is at work, for a person; empty when nobody is."""
        at = now()
        with self.reading() as session:
            night = session.scalar(select(Night.id).where(Night.ended_at.is_(None), Night.held_until > at).limit(1))
            leased = select(func.count()).select_from(Job).where(Job.leased_by.is_not(None), Job.leased_until >= at)
            specs = session.scalar(leased) or 0
        if night is not None:
            return f"night {night} is at work"
        return f"{specs} specs are in a worker's hands" if specs else ""
