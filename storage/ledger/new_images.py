"""The ledger on images that were made: record, findings, inbox entry and the end of the job are one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, inspect, select, text, update
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.records import FindingRow, Image, ImageVector, InboxEntry, Job, Spec
from schemas.review import Criterion, Finding, Result
from schemas.spec import ImageSpec
from storage.ledger.orders import select_first_orders, select_newest_orders
from storage.ledger.transaction import Transactions, now


@dataclass(frozen=True)
class NewImage:
    """An image whose bytes are in the store, with everything that is written in its transaction."""

    image: Image
    """A value: written, never attached to a session."""
    findings: Sequence[Finding]
    criteria: Sequence[Criterion]
    reviews_wanted: int
    rank: int
    submission: str | None = None
    """The order whose rules these are."""
    steps: Sequence[str] = ()
    """Of the review, as that order has them."""
    vectors: Mapping[str, bytes] = field(default_factory=dict)
    """By space, as storage/vectors.py packs them."""


@dataclass(frozen=True)
class OutdatedFindings:
    """An image that waits for review, and the submissions whose rules it is kept with and that count now."""

    image: Image
    spec: ImageSpec
    before: str | None
    newest: str


class NewImages(Transactions):
    def keep(
        self,
        image: Image,
        findings: Sequence[Finding],
        *,
        criteria: Sequence[Criterion],
        reviews_wanted: int = 1,
        rank: int,
    ) -> bool:
        """False: somebody kept this spec's image first, and that one stays."""
        return self.keep_many([NewImage(image, findings, criteria, reviews_wanted, rank)]) == 1

    def keep_many(self, keepings: Sequence[NewImage]) -> int:
        """Images, findings, inbox entries and the ends of their jobs, in one transaction; returns how many were new.

        Safe to repeat. Whether the lease is still held does not matter: the image exists, and the first one counts.
        """
        at, given = now(), {keeping.image.digest: keeping for keeping in keepings}
        with self.writing("keep") as session:
            # 1. Ending the job wins the right to write the image.
            unmade = self.locked(given, Job.done_at.is_(None))
            won = session.scalars(
                update(Job)
                .where(Job.spec.in_(select(unmade.c.spec)), Job.done_at.is_(None))
                .values(done_at=at, leased_by=None, leased_until=None, set_aside_at=None)
                .returning(Job.spec)
                .execution_options(synchronize_session=False)
            ).all()
            self._all_planned(session, given, won)
            # 2. Everything else about it.
            new = [given[digest] for digest in won]
            newest = select_newest_orders(session, self.listed(won))
            self.insert(session, Image, [_image_row(keeping.image, at) for keeping in new])
            rows = [row for keeping in new for row in _finding_rows(keeping.image.digest, keeping.findings)]
            self.insert(session, FindingRow, rows)
            vectors = [
                {"image": keeping.image.digest, "space": space, "vector": vector}
                for keeping in new
                for space, vector in keeping.vectors.items()
            ]
            self.insert(session, ImageVector, vectors)
            self.insert(
                session,
                InboxEntry,
                [
                    {
                        "image": keeping.image.digest,
                        "project": keeping.image.project,
                        "asset": keeping.image.asset,
                        "rank": keeping.rank,
                        "flags": _flags(keeping.findings),
                        "criteria": list(keeping.criteria),
                        "reviews_wanted": max(1, keeping.reviews_wanted),
                        "steps": list(keeping.steps),
                        "step": next(iter(keeping.steps), None),
                        "waiting": True,
                        "revision": 0,
                        "queued_at": at,
                        "submission": keeping.submission,
                        "outdated": newest.get(keeping.image.digest) != keeping.submission,
                    }
                    for keeping in new
                ],
            )
        return len(new)

    def waiting_images(self, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that wait for review."""
        listed = self.listed(digests)
        with self.reading() as session:
            query = select(InboxEntry.image).where(InboxEntry.image.in_(listed), InboxEntry.waiting.is_(True))
            return set(session.scalars(query))

    def outdated(self, *, limit: int | None = None) -> list[OutdatedFindings]:
        """Images that wait for review and whose orders changed since they were kept."""
        waits = text("outdated = 1 AND waiting = 1" if self._on_sqlite else "outdated AND waiting")
        with self.reading() as session:
            query = select(Image, Spec.body, InboxEntry.submission).join(Spec, Spec.digest == Image.digest)
            query = query.join(InboxEntry, InboxEntry.image == Image.digest).where(waits).order_by(Image.digest)
            rows = session.execute(query.limit(limit)).all()
            newest = select_newest_orders(session, self.listed(image.digest for image, *_ in rows))
            first = select_first_orders(session, self.listed(image.digest for image, *_ in rows))
        return [
            OutdatedFindings(
                image, ImageSpec.model_validate(body), before or first.get(image.digest), newest[image.digest]
            )
            for image, body, before in rows
            if image.digest in newest
        ]

    def renew_entry(
        self,
        image: str,
        *,
        submission: str,
        criteria: Sequence[Criterion],
        reviews_wanted: int,
        steps: Sequence[str],
        rank: int,
        findings: Sequence[Finding] | None,
    ) -> bool:
        """Keeps an image that waits under the rules of its newest order; `findings`: None where they stay.

        False: it was decided meanwhile, or another order counts by now. Decisions that were taken stay as they are, and
        who is wanted does not change after the first of them.
        """
        with self.writing("renew_entry") as session:
            entry = session.scalar(select(InboxEntry).where(InboxEntry.image == image).with_for_update())
            if entry is None or not entry.waiting:
                return False
            if select_newest_orders(session, self.listed([image])).get(image) != submission:
                return False
            entry.criteria, entry.rank, entry.submission, entry.outdated = list(criteria), rank, submission, False
            if entry.revision == 0:
                entry.reviews_wanted = max(1, reviews_wanted)
                entry.steps, entry.step = list(steps), next(iter(steps), None)
            if findings is not None:
                entry.flags = _flags(findings)
                session.execute(delete(FindingRow).where(FindingRow.image == image))
                self.insert(session, FindingRow, _finding_rows(image, findings))
        return True

    def _all_planned(self, session: Session, given: Iterable[str], won: Sequence[str]) -> None:
        missing = set(given) - set(won)
        if missing:
            missing -= set(session.scalars(select(Job.spec).where(Job.spec.in_(self.listed(missing)))))
        if missing:
            raise LedgerError(f"images of specs that were never planned came: {', '.join(sorted(missing))}")

    def phashes(self, project: str, asset: str) -> dict[str, str]:
        """Perceptual hashes of an asset's images, by spec digest."""
        query = select(Image.digest, Image.phash).where(
            Image.project == project, Image.asset == asset, Image.phash.is_not(None)
        )
        with self.reading() as session:
            return dict(session.execute(query).tuples().all())  # type: ignore[arg-type]


def _flags(findings: Sequence[Finding]) -> str:
    flagged = {finding.check.value for finding in findings if finding.result is Result.FLAG}
    return f" {' '.join(sorted(flagged))} " if flagged else ""


def _image_row(image: Image, at: datetime) -> dict[str, Any]:
    row = {column.key: getattr(image, column.key) for column in inspect(Image).column_attrs}
    return row | {"made_at": image.made_at or at, "conditions": image.conditions or []}


def _finding_rows(image: str, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One a criterion. Whatever a check says, it must not keep its image out: odd values become text or null."""
    worst = (Result.FLAG, Result.ERROR, Result.NOT_CHECKED, Result.PASS)
    by_check: dict[Criterion, list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: worst.index(finding.result)):
        by_check.setdefault(finding.check, []).append(finding)
    rows = []
    for check, findings in by_check.items():
        bodies = [json.loads(finding.model_dump_json(fallback=str)) for finding in findings]
        rows.append(
            {
                "image": image,
                "criterion": check.value,
                "result": bodies[0]["result"],
                "score": max(body["score"] for body in bodies),
                "sentence": " ".join(body["sentence"] for body in bodies).replace("\0", "\N{REPLACEMENT CHARACTER}"),
                "regions": [region for body in bodies for region in body["regions"]],
                "data": {key: value for body in reversed(bodies) for key, value in body["data"].items()},
            }
        )
    return rows
