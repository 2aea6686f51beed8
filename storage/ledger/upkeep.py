"""The ledger on itself: everything it refers to, where its rows contradict each other, and how each is mended.

Every reading goes through the tables a page at a time, so that a million images take no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Row, Select, exists, func, or_, select, update

from schemas.records import (
    Comment,
    Decision,
    Delivery,
    FindingRow,
    Image,
    InboxEntry,
    Job,
    Night,
    Rating,
    Spec,
    Submission,
)
from schemas.review import Criterion, Result, Verdict
from schemas.spec import ImageSpec
from storage.ledger.standing import find_standing, find_step
from storage.ledger.transaction import Transactions, now

PAGE = 1_000
"""Rows read at once."""


@dataclass(frozen=True)
class Reference:
    """An object that a record says is there."""

    key: str
    owner: str
    """Which record says so, for a person."""
    sha256: str | None = None
    """Of its bytes, where the record knows it."""
    sidecar: str = ""
    """Key of the file that says what left, where that may be signed and so have other bytes than the image."""


@dataclass(frozen=True)
class ImageObjects:
    """The keys that an image's record names. `removed_at`: its own bytes were removed; the rest is as ever."""

    digest: str
    project: str
    asset: str
    sha256: str
    object_key: str
    preview_key: str
    thumb_key: str
    conditions: list[str]
    made_at: datetime
    removed_at: datetime | None


class Upkeep(Transactions):
    def references(self) -> Iterator[Reference]:
        """Every object key in every record; a key that several records name comes several times."""
        for image in self.image_objects():
            name = f"image {image.digest[:12]} ({image.project} / {image.asset})"
            if image.removed_at is None:
                yield Reference(image.object_key, name, image.sha256)
            for key in (image.preview_key, image.thumb_key, *image.conditions):
                yield Reference(key, name)
        for sent in self.rows(Submission, Submission.digest):
            name = f"submission {sent.name} ({sent.project})"
            yield Reference(sent.object_key, name)
            for file in sent.files.values():
                if file.get("key"):
                    yield Reference(file["key"], name, file.get("digest"))
        left = select(Delivery.image, Delivery.name, Delivery.project, Delivery.sidecar, Image.sha256)
        for _, path, project, sidecar, sha256 in self._columns(left.join(Image), Delivery.image):
            name = f"delivery {path} ({project})"
            yield Reference(f"delivery/{path}", name, sha256, sidecar)
            yield Reference(sidecar, name)
        for night in self.rows(Night, Night.id):
            if night.report_key:
                yield Reference(night.report_key, f"night {night.id}")

    def image_objects(self) -> Iterator[ImageObjects]:
        """The objects of every image, by digest."""
        query = select(
            Image.digest,
            Image.project,
            Image.asset,
            Image.sha256,
            Image.object_key,
            Image.preview_key,
            Image.thumb_key,
            Image.conditions,
            Image.made_at,
            InboxEntry.removed_at,
        ).outerjoin(InboxEntry, InboxEntry.image == Image.digest)
        return (ImageObjects(*row) for row in self._columns(query, Image.digest))

    def removed_in_error(self) -> Iterator[str]:
        """Images whose bytes were removed although nothing says any more that they are rejected."""
        yield from self._digests(
            InboxEntry.image,
            InboxEntry.removed_at.is_not(None),
            or_(InboxEntry.waiting, InboxEntry.verdict != Verdict.REJECT.value),
        )

    def changed_specs(self) -> Iterator[str]:
        """Specs whose body is not what their digest stands for."""
        for digest, body in self._columns(select(Spec.digest, Spec.body), Spec.digest):
            try:
                same = ImageSpec.model_validate(body).digest == digest
            except ValidationError:
                same = False
            if not same:
                yield digest

    def images_without_entry(self) -> Iterator[str]:
        """Images that no inbox knows: nobody would ever look at them."""
        return self._digests(Image.digest, ~exists().where(InboxEntry.image == Image.digest))

    def images_with_open_job(self) -> Iterator[str]:
        """Images that would be made a second time."""
        open_job = exists().where(Job.spec == Image.digest, Job.done_at.is_(None))
        return self._digests(Image.digest, open_job)

    def jobs_without_image(self) -> Iterator[str]:
        """Work that counts as done although no image is there: it would never be made."""
        return self._digests(Job.spec, Job.done_at.is_not(None), ~exists().where(Image.digest == Job.spec))

    def specs_without_job(self) -> Iterator[str]:
        """Specs that nobody can claim: they would never be made."""
        lost = (~exists().where(Job.spec == Spec.digest), ~exists().where(Image.digest == Spec.digest))
        return self._digests(Spec.digest, *lost)

    def stale_leases(self, *, hours: float) -> Iterator[str]:
        """Specs whose lease ran out that long ago and was neither renewed nor taken over."""
        before = now() - timedelta(hours=hours)
        return self._digests(Job.spec, Job.leased_by.is_not(None), Job.leased_until < before)

    def stale_nights(self, *, hours: float) -> list[int]:
        """Nights that began that long ago and never ended."""
        query = select(Night.id).where(Night.ended_at.is_(None), Night.started_at < now() - timedelta(hours=hours))
        with self.reading() as session:
            return list(session.scalars(query.order_by(Night.id)))

    def contradicted_entries(self) -> Iterator[str]:
        """Inbox entries that do not say what the decisions on their image say."""
        entry = (
            InboxEntry.image,
            InboxEntry.reviews_wanted,
            InboxEntry.steps,
            *(getattr(InboxEntry, name) for name in _FOLLOWS),
        )
        for images in self._pages(InboxEntry.image, InboxEntry.image):
            with self.reading() as session:  # an entry and its decisions of one moment
                within = (images[0], images[-1])
                decided: dict[str, list[Decision]] = {}
                for decision in session.scalars(select(Decision).where(Decision.image.between(*within))):
                    decided.setdefault(decision.image, []).append(decision)
                current = session.execute(select(*entry).where(InboxEntry.image.between(*within))).all()
            for image, wanted, steps, *actual in current:
                values = _entry_values(decided.get(image, []), wanted, steps)
                if actual != [values[name] for name in _FOLLOWS]:
                    yield image

    # --- repairs: each writes only what follows from other rows -----------------------------------------------------

    def add_entry(self, image: str) -> None:
        """Puts an image into the inbox, with the decisions that it has already."""
        with self.writing("repair") as session:
            if session.get(InboxEntry, image) is not None:
                return
            row = session.get_one(Image, image)
            flags = session.scalars(
                select(FindingRow.criterion).where(FindingRow.image == image, FindingRow.result == Result.FLAG.value)
            )
            decisions = session.scalars(select(Decision).where(Decision.image == image)).all()
            session.add(
                InboxEntry(
                    image=image,
                    project=row.project,
                    asset=row.asset,
                    rank=0,
                    flags="".join(f" {flag} " for flag in sorted(flags)),
                    criteria=[Criterion.HANDS.value, Criterion.TEXT.value, Criterion.BRAND.value],
                    reviews_wanted=1,
                    queued_at=now(),
                    **_entry_values(decisions, 1, ()),
                )
            )

    def set_entry(self, image: str) -> None:
        """Makes an inbox entry say what the decisions on its image say."""
        with self.writing("repair") as session:
            entry = session.scalars(select(InboxEntry).where(InboxEntry.image == image).with_for_update()).one()
            decisions = session.scalars(select(Decision).where(Decision.image == image)).all()
            for name, value in _entry_values(decisions, entry.reviews_wanted, entry.steps).items():
                setattr(entry, name, value)

    def close_job(self, spec: str) -> None:
        """The image exists, so the work on it is done."""
        self._set_job(spec, exists().where(Image.digest == Job.spec), done_at=now(), leased_by=None, leased_until=None)

    def open_job(self, spec: str) -> None:
        """No image exists, so it is to be made."""
        missing = ~exists().where(Image.digest == Job.spec)
        self._set_job(spec, missing, done_at=None, attempts=0, leased_by=None, leased_until=None)
        with self.writing("repair") as session:
            self.insert(session, Job, [{"spec": spec, "attempts": 0, "failures": 0}], skip_known=True)

    def free_lease(self, spec: str) -> None:
        self._set_job(spec, Job.leased_until < now(), leased_by=None, leased_until=None)

    def close_night(self, night: int) -> None:
        """A night that never ended has failed; its images are kept as they are."""
        with self.writing("repair") as session:
            values = {"ended_at": now(), "outcome": "failed"}
            session.execute(update(Night).where(Night.id == night, Night.ended_at.is_(None)).values(values))

    # --- pages --------------------------------------------------------------------------------------------------------

    def rows(self, table: Any, key: Any, *where: ColumnElement[bool]) -> Iterator[Any]:
        """All rows by their key, a page in memory at a time."""
        for page in self._pages(table, key, *where):
            yield from page

    def _columns(self, query: Select[Any], key: Any) -> Iterator[Row[Any]]:
        """All rows of a query of columns, of which the first is the key, a page in memory at a time."""
        after: Any = None
        while True:
            with self.reading() as session:
                page = session.execute(
                    (query if after is None else query.where(key > after)).order_by(key).limit(PAGE)
                ).all()
            if not page:
                return
            after = page[-1][0]
            yield from page

    def _pages(self, table: Any, key: Any, *where: ColumnElement[bool]) -> Iterator[list[Any]]:
        after: Any = None
        while True:
            query = select(table).where(*where).order_by(key).limit(PAGE)
            with self.reading() as session:
                page = list(session.scalars(query if after is None else query.where(key > after)))
            if not page:
                return
            after = getattr(page[-1], key.key) if not isinstance(page[-1], str) else page[-1]
            yield page

    def _digests(self, column: Any, *where: ColumnElement[bool]) -> Iterator[str]:
        return self.rows(column, column, *where)

    def _set_job(self, spec: str, condition: ColumnElement[bool], **values: datetime | int | None) -> None:
        with self.writing("repair") as session:
            statement = update(Job).where(Job.spec == spec, condition).values(values)
            session.execute(statement.execution_options(synchronize_session=False))

    def count_rows(self) -> dict[str, int]:
        """Rows by table, of the tables that grow."""
        tables: tuple[Any, ...] = (Submission, Spec, Image, Decision, Comment, Rating, Delivery)
        with self.reading() as session:
            return {t.__tablename__: session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}

    def queue_by_priority(self) -> dict[int, int]:
        """How many specs wait to be made, by priority."""
        waits = (Job.done_at.is_(None), or_(Job.set_aside_at.is_(None)))
        query = select(Spec.priority, func.count()).join(Job, Job.spec == Spec.digest).where(*waits)
        with self.reading() as session:
            return {row[0]: row[1] for row in session.execute(query.group_by(Spec.priority))}


_FOLLOWS = ("revision", "waiting", "decision", "verdict", "step")
"""What of an inbox entry follows from the decisions on its image."""


def _entry_values(decisions: Any, wanted: int, steps: Sequence[str]) -> dict[str, Any]:
    """What an inbox entry must say after these decisions."""
    stands = find_standing(decisions, wanted=wanted, steps=steps)
    return {
        "revision": max((decision.revision for decision in decisions), default=0),
        "waiting": stands is None,
        "decision": stands.id if stands else None,
        "verdict": stands.verdict if stands else None,
        "step": None if stands else find_step(decisions, steps),
    }
