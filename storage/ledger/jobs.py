"""The ledger on work: who makes which spec now, what came of it, what is set aside.

A lease is a row's `leased_by` and `leased_until`. It is won by one guarded UPDATE, so that no spec is in two hands; a
lease that ran out belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update

from schemas.errors import NotAllowed
from schemas.records import Failure, Job, Order, Spec, Submission
from schemas.review import spell_errors
from schemas.settings import LEADS
from schemas.spec import ImageSpec
from storage.ledger.submissions import NO_DUE
from storage.ledger.transaction import Transactions, now


@dataclass(frozen=True)
class Waiting:
    """A spec that can be claimed now."""

    digest: str
    project: str
    asset: str
    batch_key: str
    affinity_key: str
    priority: int
    due: date | None
    submitted_by: str
    attempts: int
    """Times somebody took it and neither kept it nor was it released by a person since."""


@dataclass(frozen=True)
class SetAside:
    digest: str
    project: str
    asset: str
    variant: str
    since: datetime
    cause: str
    message: str
    """Of its last failure."""


class Jobs(Transactions):
    def waiting(self, *, limit: int | None = None, project: str | None = None) -> list[Waiting]:
        """No image, not set aside, in nobody's hands, asked for by a submission in force; most urgent first."""
        query = (
            select(
                Spec.digest,
                Spec.project,
                Spec.asset,
                Spec.batch_key,
                Spec.affinity_key,
                Spec.priority,
                Spec.due,
                Spec.submitted_by,
                Job.attempts,
            )
            .join(Job, Job.spec == Spec.digest)
            .where(_claimable(now()))
            .order_by(Spec.priority.desc(), Spec.due, Spec.affinity_key, Spec.batch_key, Spec.digest)
            .limit(limit)
        )
        if project is not None:
            query = query.where(Spec.project == project)
        with self.reading() as session:
            rows = [row._asdict() for row in session.execute(query)]
        return [Waiting(**row | {"due": None if row["due"] == NO_DUE else row["due"]}) for row in rows]

    def claim(self, digests: Iterable[str], *, worker: str, seconds: float) -> list[ImageSpec]:
        """Takes a lease on those of `digests` that nobody made or holds, and returns exactly those, in order.

        A body that is no spec of this program is set aside at once.
        """
        wanted, at = list(digests), now()
        with self.writing("claim") as session:
            free = self.locked(wanted, _claimable(at, by_key=True))
            won = set(
                session.scalars(
                    update(Job)
                    .where(Job.spec.in_(select(free.c.spec)), _claimable(at, by_key=True))
                    .values(leased_by=worker, leased_until=at + timedelta(seconds=seconds), attempts=Job.attempts + 1)
                    .returning(Job.spec)
                    .execution_options(synchronize_session=False)
                )
            )
            rows = session.execute(select(Spec.digest, Spec.body).where(Spec.digest.in_(self.listed(won))))
            bodies: dict[str, Any] = {digest: body for digest, body in rows}  # noqa: C416
        specs: list[ImageSpec] = []
        for digest in dict.fromkeys(wanted):
            if digest not in won:
                continue
            try:
                specs.append(ImageSpec.model_validate(bodies[digest]))
            except ValidationError as wrong:  # planned by an older program, before there were bounds
                message = f"not a spec of this program: {spell_errors(wrong)}"
                self.fail(digest, cause="SpecRefused", message=message, worker=worker, night=None, max_attempts=1)
        return specs

    def claimable(self, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that nobody made or holds."""
        query = select(Job.spec).where(Job.spec.in_(self.listed(digests)), _claimable(now(), by_key=True))
        with self.reading() as session:
            return set(session.scalars(query))

    def renew(self, digests: Iterable[str], *, worker: str, seconds: float) -> set[str]:
        """Prolongs `worker`'s leases; returns those that it still has."""
        with self.writing("renew") as session:
            held = self.locked(digests, Job.leased_by == worker)
            statement = update(Job).where(Job.spec.in_(select(held.c.spec)), Job.leased_by == worker)
            return set(
                session.scalars(
                    statement.values(leased_until=now() + timedelta(seconds=seconds))
                    .returning(Job.spec)
                    .execution_options(synchronize_session=False)
                )
            )

    def release(self, digests: Iterable[str], *, worker: str, untried: bool = False) -> None:
        """Gives `worker`'s leases back. That they were taken stays counted, unless none was begun (`untried`)."""
        with self.writing("release") as session:
            held = self.locked(digests, Job.leased_by == worker)
            session.execute(
                update(Job)
                .where(Job.spec.in_(select(held.c.spec)), Job.leased_by == worker)
                .values(
                    leased_by=None,
                    leased_until=None,
                    attempts=case((Job.attempts > 0, Job.attempts - 1), else_=0) if untried else Job.attempts,
                )
                .execution_options(synchronize_session=False)
            )

    def leased(self, worker: str) -> list[str]:
        """Digests of the specs that `worker` has, whether or not the lease ran out."""
        with self.reading() as session:
            return list(session.scalars(select(Job.spec).where(Job.leased_by == worker).order_by(Job.spec)))

    def in_hand(self) -> int:
        """Specs that somebody has a live lease on."""
        query = select(func.count()).select_from(Job).where(Job.leased_by.is_not(None), Job.leased_until >= now())
        with self.reading() as session:
            return session.scalar(query) or 0

    def fail(self, digest: str, *, cause: str, message: str, worker: str, night: int | None, max_attempts: int) -> bool:
        """Writes the failure down and gives the lease back. True when that was the last of `max_attempts`."""
        at, mine = now(), Job.leased_by == worker
        with self.writing("fail") as session:
            failed = Failure(spec=digest, night=night, cause=cause, message=message, worker=worker, failed_at=at)
            session.add(failed)
            session.flush()
            aside = session.scalar(
                update(Job)
                .where(Job.spec == digest, Job.done_at.is_(None))
                .values(
                    failures=Job.failures + 1,
                    leased_by=case((mine, None), else_=Job.leased_by),
                    leased_until=case((mine, None), else_=Job.leased_until),
                    set_aside_at=case((Job.failures + 1 >= max_attempts, at), else_=Job.set_aside_at),
                )
                .returning(Job.set_aside_at)
                .execution_options(synchronize_session=False)
            )
        return aside is not None

    def set_aside(self) -> list[SetAside]:
        """What failed too often, newest first, each with its last failure."""
        last = select(func.max(Failure.id)).where(Failure.spec == Job.spec).correlate(Job).scalar_subquery()
        query = (
            select(
                Spec.digest, Spec.project, Spec.asset, Spec.variant, Job.set_aside_at, Failure.cause, Failure.message
            )
            .join(Job, Job.spec == Spec.digest)
            .outerjoin(Failure, Failure.id == last)
            .where(Job.set_aside_at.is_not(None))
            .order_by(Job.set_aside_at.desc(), Spec.digest)
        )
        with self.reading() as session:
            return [SetAside(*row) for row in session.execute(query).all()]

    def release_set_aside(self, digests: Iterable[str], by: str, *, role: str = "lead") -> int:
        """Back into the queue, as if they had never been tried; `by` is written down. Returns how many that were.

        Raises NotAllowed when `role` is no lead's. Whoever may use the command line on the machine counts as one.
        """
        if role not in LEADS:
            raise NotAllowed(f"{by} is {role}; releasing what was set aside takes one of {', '.join(sorted(LEADS))}")
        at = now()
        with self.writing("release_set_aside") as session:
            aside = self.locked(digests, Job.set_aside_at.is_not(None))
            freed = session.scalars(
                update(Job)
                .where(Job.spec.in_(select(aside.c.spec)), Job.set_aside_at.is_not(None))
                .values(set_aside_at=None, attempts=0, failures=0, leased_by=None, leased_until=None)
                .returning(Job.spec)
                .execution_options(synchronize_session=False)
            ).all()
            said = {"night": None, "cause": "Released", "message": f"put back into the queue by {by}", "worker": by}
            self.insert(session, Failure, [{"spec": spec, "failed_at": at, **said} for spec in freed])
        return len(freed)


def _claimable(at: datetime, *, by_key: bool = False) -> ColumnElement[bool]:
    ordered = exists().where(Order.spec == Job.spec)
    live = exists().where(
        Order.spec == Job.spec, Submission.digest == Order.submission, Submission.cancelled_at.is_(None)
    )
    # Said so that ix_jobs_open fits (all that is open) or does not fit (these few, by their key): after a large plan
    # PostgreSQL believes for a while that nothing is open, and would go through all of it once for each.
    open_ = [func.coalesce(Job.done_at, Job.set_aside_at).is_(None)]
    if not by_key:
        open_ = [Job.done_at.is_(None), Job.set_aside_at.is_(None)]
    return and_(
        *open_,
        or_(Job.leased_until.is_(None), Job.leased_until < at),
        or_(~ordered, live),
    )
