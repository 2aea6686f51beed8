"""The ledger on submissions and on what was planned from them: specs, orders, jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import case, exists, func, inspect, or_, select, update
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.records import Image, Job, Order, Spec, Submission
from schemas.spec import ImageSpec
from storage.ledger.orders import NO_DUE, Brief, Orders, select_descendants
from storage.ledger.transaction import chunks, now

__all__ = ["CHUNK", "NO_DUE", "Brief", "PlanCount", "Submissions"]

CHUNK = 2_000
"""Specs planned in one transaction: a few tenths of a second, so that reviewers never wait for a planner."""


@dataclass(frozen=True)
class PlanCount:
    new: int
    existing: int


class Submissions(Orders):
    def submit(self, submission: Submission) -> bool:
        """False: the very same was submitted before, and that one stays as it is. It counts as the newest again, and is
        planned again, when it was cancelled or another order of its project came since."""
        with self.writing("submit") as session:
            self.alone(session, "submit")
            there = session.get(Submission, submission.digest)
            if there is None:
                values = {column.key: getattr(submission, column.key) for column in inspect(Submission).column_attrs}
                self.insert(session, Submission, [values | {"submitted_at": submission.submitted_at or now()}])
                return True
            since = exists().where(Submission.project == there.project, Submission.submitted_at > there.submitted_at)
            if there.cancelled_at is not None or session.scalar(select(since)):
                there.cancelled_at = there.cancelled_by = there.planned_at = None
                there.submitted_at = submission.submitted_at or now()
            return False

    def submissions(self, *, project: str | None = None, limit: int = 100) -> list[Submission]:
        """Newest first."""
        query = select(Submission).order_by(Submission.submitted_at.desc()).limit(limit)
        if project is not None:
            query = query.where(Submission.project == project)
        with self.reading() as session:
            return list(session.scalars(query))

    def submission(self, digest: str) -> Submission:
        with self.reading() as session:
            return _there(session, digest)

    def find_submission(self, beginning: str) -> Submission:
        """By its digest or the beginning of it. Raises LedgerError for none or several."""
        query = select(Submission).where(Submission.digest.startswith(beginning.lower(), autoescape=True)).limit(2)
        with self.reading() as session:
            found = list(session.scalars(query)) if beginning else []
        if len(found) != 1:
            raise LedgerError(f"{'several submissions begin' if found else 'no submission begins'} with {beginning!r}")
        return found[0]

    def cancel(self, digest: str, by: str) -> None:
        """What only this submission asked for is made no more. What exists stays, and stays to be reviewed; the order
        before this one counts for it again."""
        with self.writing("cancel") as session:
            self.alone(session, "plan")
            submission = _there(session, digest)
            if submission.cancelled_at is None:
                submission.cancelled_at, submission.cancelled_by = now(), by
                session.flush()
                self.follow_orders(session, session.scalars(select(Order.spec).where(Order.submission == digest)))

    def prioritise(self, digest: str, priority: int) -> None:
        """Moves everything that this submission asks for, where its order is the one that counts."""
        with self.writing("prioritise") as session:
            self.alone(session, "plan")
            _there(session, digest).priority = priority
            session.flush()
            self.follow_orders(session, session.scalars(select(Order.spec).where(Order.submission == digest)))

    def unplanned(self) -> list[Submission]:
        """Most urgent first."""
        query = (
            select(Submission)
            .where(Submission.planned_at.is_(None), Submission.cancelled_at.is_(None))
            .order_by(
                Submission.priority.desc(),
                func.coalesce(Submission.due, NO_DUE),
                Submission.submitted_at,
                Submission.digest,
            )
        )
        with self.reading() as session:
            return list(session.scalars(query))

    def count_images(self, submissions: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Submission -> images that it asks for, retakes included, and how many of them exist."""
        query = (
            select(Order.submission, func.count(), func.count(Image.digest))
            .outerjoin(Image, Image.digest == Order.spec)
            .where(Order.submission.in_(self.listed(submissions)))
            .group_by(Order.submission)
        )
        with self.reading() as session:
            return {row[0]: (row[1], row[2]) for row in session.execute(query)}

    def known(self, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that were ever planned."""
        return self._those(Spec.digest, digests)

    def made(self, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that have an image."""
        return self._those(Image.digest, digests)

    def _those(self, column: Any, digests: Iterable[str]) -> set[str]:
        found: set[str] = set()
        with self.reading() as session:
            for chunk in chunks(digests, 10_000):
                found.update(session.scalars(select(column).where(column.in_(self.listed(chunk)))))
        return found

    def specs(self, digests: Iterable[str]) -> dict[str, ImageSpec]:
        """By digest; those that were never planned are left out."""
        found: dict[str, ImageSpec] = {}
        with self.reading() as session:
            for chunk in chunks(digests, 10_000):
                query = select(Spec.digest, Spec.body).where(Spec.digest.in_(self.listed(chunk)))
                found.update((digest, ImageSpec.model_validate(body)) for digest, body in session.execute(query))
        return found

    def plan(
        self,
        submission: str | None,
        specs: Iterable[ImageSpec],
        *,
        priority: int,
        due: date | None,
        submitted_by: str,
    ) -> PlanCount:
        """Writes specs, the orders for them and the jobs to make them; those that are known get only the order, and so
        do their retakes, so that one order counts for a whole line.

        `specs` is read as it comes, CHUNK at a time. Every chunk is one transaction, and the submission counts as
        planned in a last one: after a crash it is planned again, which changes nothing that was written.
        """
        new = existing = 0
        if submission is not None:
            self.submission(submission)
        for chunk in chunks(specs, CHUNK):
            with self.writing("plan") as session:
                added = self.add_specs(session, chunk, priority=priority, due=due, submitted_by=submitted_by)
                if submission is not None:
                    asked = {spec.digest for spec in chunk}
                    asked.update(retake for _, retake in select_descendants(session, self.listed(asked)))
                    orders = [{"submission": submission, "spec": digest} for digest in sorted(asked)]
                    self.insert(session, Order, orders, skip_known=True)
                    self.follow_orders(session, asked)
            new += added
            existing += len(chunk) - added
        if submission is not None:
            with self.writing("planned") as session:
                session.execute(update(Submission).where(Submission.digest == submission).values(planned_at=now()))
        return PlanCount(new, existing)

    def add_specs(
        self, session: Session, specs: Iterable[ImageSpec], *, priority: int, due: date | None, submitted_by: str
    ) -> int:
        """Specs and jobs, in the caller's transaction; returns how many there were not. Planners take turns, so that
        what is found missing stays missing until it is written."""
        self.alone(session, "plan")
        given = {spec.digest: spec for spec in specs}
        known = set(session.scalars(select(Spec.digest).where(Spec.digest.in_(self.listed(given)))))
        at, by_day = now(), due or NO_DUE
        rows = [
            {
                "digest": digest,
                "body": spec.body(),
                "project": spec.project,
                "asset": spec.asset,
                "variant": spec.variant,
                "tier": spec.tier.value,
                "batch_key": spec.batch_key,
                "affinity_key": spec.affinity_key,
                "parent": spec.parent,
                "take": spec.take,
                "priority": priority,
                "due": by_day,
                "submitted_by": submitted_by,
                "planned_at": at,
            }
            for digest, spec in given.items()
            if digest not in known
        ]
        self.insert(session, Spec, rows)
        self.insert(session, Job, [{"spec": row["digest"], "attempts": 0, "failures": 0} for row in rows])
        if known:
            session.execute(
                update(Spec)
                .where(Spec.digest.in_(self.listed(known)), or_(Spec.priority < priority, Spec.due > by_day))
                .values(
                    priority=case((Spec.priority < priority, priority), else_=Spec.priority),
                    due=case((Spec.due > by_day, by_day), else_=Spec.due),
                )
                .execution_options(synchronize_session=False)
            )
        return len(rows)


def _there(session: Session, digest: str) -> Submission:
    found = session.get(Submission, digest)
    if found is None:
        raise LedgerError(f"there is no submission {digest}")
    return found
