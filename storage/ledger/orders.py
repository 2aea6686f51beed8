"""Which order counts for a spec: the newest that is not cancelled, for everything that is not in the image itself.

Delivery name and licence, brand rules, criteria, retakes, priority and due date are not in a spec's digest, so several
submissions may say different things of one image. The queue's priority and due date move in the transaction that
changes the orders. What is kept with an image that waits for review (findings, criteria, its place) is only marked as
outdated there; tasks/planning/renew.py brings it up to date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from schemas.records import InboxEntry, Order, Spec, Submission
from storage.ledger.transaction import Transactions, chunks

NO_DUE = date(9999, 12, 31)


@dataclass(frozen=True)
class Brief:
    """What a submission says about the specs that it asks for."""

    submission: str
    name: str
    submitted_by: str
    priority: int
    due: date | None
    manifest_body: dict[str, Any]
    """schemas.manifest.Manifest; one object for all specs of a submission."""
    files: dict[str, Any]
    max_retakes: int | None
    """The manifest's cap, if it has one."""


class Orders(Transactions):
    def briefs(self, digests: Iterable[str]) -> dict[str, Brief]:
        """Spec digest -> what its newest order says; specs that no submission asked for are left out."""
        newest: dict[str, str] = {}
        with self.reading() as session:
            for chunk in chunks(digests, 10_000):
                newest |= select_newest_orders(session, self.listed(chunk))
            rows = session.scalars(select(Submission).where(Submission.digest.in_(self.listed(set(newest.values())))))
            briefs = {row.digest: _brief(row) for row in rows}
        return {spec: briefs[submission] for spec, submission in newest.items()}

    def follow_orders(self, session: Session, digests: Iterable[str]) -> None:
        """After orders came or went, in the same transaction: the queue follows each spec's newest order, and what is
        kept with its image is marked as outdated. Planners take turns, so no other order comes meanwhile."""
        listed = self.listed(digests)
        newest = select_newest_orders(session, listed)
        query = select(Submission.digest, Submission.priority, func.coalesce(Submission.due, NO_DUE))
        places = session.execute(query.where(Submission.digest.in_(self.listed(set(newest.values()))))).tuples().all()
        specs: dict[str, list[str]] = defaultdict(list)
        for spec, submission in newest.items():
            specs[submission].append(spec)
        for submission, priority, due in places:
            session.execute(
                update(Spec)
                .where(Spec.digest.in_(self.listed(specs[submission])), or_(Spec.priority != priority, Spec.due != due))
                .values(priority=priority, due=due)
                .execution_options(synchronize_session=False)
            )
        session.execute(
            update(InboxEntry)
            .where(InboxEntry.image.in_(listed), InboxEntry.outdated.is_(False))
            .values(outdated=True)
            .execution_options(synchronize_session=False)
        )


def select_newest_orders(session: Session, listed: Select[tuple[str]]) -> dict[str, str]:
    """Spec -> the submission that counts. Where every one is cancelled the newest of them counts: an image that exists
    still needs its name and its criteria."""
    query = (
        select(Order.spec, Order.submission)
        .join(Submission, Submission.digest == Order.submission)
        .where(Order.spec.in_(listed))
        .order_by(Submission.cancelled_at.is_(None), Submission.submitted_at, Submission.digest)
    )
    return {spec: submission for spec, submission in session.execute(query)}  # noqa: C416  (the last one counts)


def select_first_orders(session: Session, listed: Select[tuple[str]]) -> dict[str, str]:
    """Spec -> the submission that asked first: whose rules an image was kept with before 0005 wrote them down."""
    query = select(Order.spec, Order.submission).join(Submission, Submission.digest == Order.submission)
    query = query.where(Order.spec.in_(listed)).order_by(Submission.submitted_at.desc(), Submission.digest.desc())
    return {spec: submission for spec, submission in session.execute(query)}  # noqa: C416  (the last one counts)


def select_descendants(session: Session, listed: Select[tuple[str]]) -> list[tuple[str, str]]:
    """(ancestor, descendant) for every retake and promotion that came of these specs."""
    line = select(Spec.parent.label("ancestor"), Spec.digest).where(Spec.parent.in_(listed)).cte(recursive=True)
    line = line.union(select(line.c.ancestor, Spec.digest).join(line, Spec.parent == line.c.digest))
    return [(ancestor, digest) for ancestor, digest in session.execute(select(line.c.ancestor, line.c.digest))]


def _brief(row: Submission) -> Brief:
    return Brief(
        submission=row.digest,
        name=row.name,
        submitted_by=row.submitted_by,
        priority=row.priority,
        due=row.due,
        manifest_body=row.body,
        files=row.files,
        max_retakes=(row.body.get("review") or {}).get("max_retakes"),
    )
