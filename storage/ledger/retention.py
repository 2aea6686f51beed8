"""The ledger on what may go: rejected long ago, large previews, conditions. Each is guarded in its own transaction by
what must still be so, so that a decision or a delivery that comes in between wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, select, update

from schemas.errors import LedgerError
from schemas.records import Decision, Delivery, Image, InboxEntry, Job, Spec
from schemas.review import Verdict
from schemas.spec import ImageSpec
from storage.ledger.transaction import now
from storage.ledger.upkeep import Upkeep


@dataclass(frozen=True)
class Removable:
    """An image that was decided, and the decision that stands."""

    image: str
    project: str
    asset: str
    sha256: str
    object_key: str
    preview_key: str
    thumb_key: str
    decision: int
    decided_at: datetime


class Retention(Upkeep):
    def rejected_before(self, moment: datetime) -> Iterator[Removable]:
        """Rejected before then, never delivered, and still there."""
        return self._decided(
            moment, InboxEntry.verdict == Verdict.REJECT.value, ~exists().where(Delivery.image == Image.digest)
        )

    def large_previews_before(self, moment: datetime) -> Iterator[Removable]:
        """Decided before then, with a preview beside the thumbnail."""
        return self._decided(moment, Image.preview_key != Image.thumb_key)

    def remove_image(self, image: str, decision: int) -> bool:
        """Writes down that the bytes of a rejected image go. False when it was decided otherwise, or delivered."""
        rejected = (
            InboxEntry.image == image,
            InboxEntry.decision == decision,
            InboxEntry.verdict == Verdict.REJECT.value,
            InboxEntry.waiting.is_(False),
            InboxEntry.removed_at.is_(None),
            ~exists().where(Delivery.image == image),
        )
        with self.writing("remove_image") as session:
            removed = session.scalar(
                update(InboxEntry).where(*rejected).values(removed_at=now()).returning(InboxEntry.image)
            )
            if removed is not None:
                session.execute(update(Image).where(Image.digest == image).values(preview_key=Image.thumb_key))
        return removed is not None

    def shrink_preview(self, image: str, decision: int) -> bool:
        """The thumbnail becomes the preview. False when the image waits again."""
        decided = exists().where(
            InboxEntry.image == image, InboxEntry.decision == decision, InboxEntry.waiting.is_(False)
        )
        with self.writing("shrink_preview") as session:
            statement = update(Image).where(Image.digest == image, decided).values(preview_key=Image.thumb_key)
            return session.scalar(statement.returning(Image.digest)) is not None

    def forget_conditions(self, images: Iterable[str]) -> None:
        """What these were made from is computed again when somebody needs it; their specs say how."""
        with self.writing("forget_conditions") as session:
            session.execute(update(Image).where(Image.digest.in_(self.listed(images))).values(conditions=[]))

    def restore_image(self, image: str, preview_key: str) -> None:
        """Its bytes are back, and so is its preview. LedgerError when they had not been removed."""
        with self.writing("restore_image") as session:
            entry = session.get(InboxEntry, image, with_for_update=True)
            if entry is None or entry.removed_at is None:
                raise LedgerError(f"{image[:12]}: nothing of it was removed")
            entry.removed_at = None
            session.execute(update(Image).where(Image.digest == image).values(preview_key=preview_key))

    def needed_pictures(self) -> Iterator[str]:
        """Digests of the pictures that specs read, of every spec that is to be made or whose image is there."""
        for _, body in self._columns(
            select(Spec.digest, Spec.body).where(~exists().where(_removed(Spec.digest))), Spec.digest
        ):
            yield from _pictures(body)

    def open_specs(self) -> Iterator[ImageSpec]:
        """Specs that are to be made, set aside or in hand."""
        query = select(Spec.digest, Spec.body).join(Job, Job.spec == Spec.digest).where(Job.done_at.is_(None))
        for _, body in self._columns(query, Spec.digest):
            yield ImageSpec.model_validate(body)

    def are_open(self, digests: Iterable[str]) -> bool:
        """Whether any of these specs is to be made, set aside or in hand."""
        open_job = exists().where(Job.spec.in_(self.listed(digests)), Job.done_at.is_(None))
        with self.reading() as session:
            return bool(session.scalar(select(open_job)))

    def _decided(self, moment: datetime, *where: Any) -> Iterator[Removable]:
        query = (
            select(
                Image.digest,
                Image.project,
                Image.asset,
                Image.sha256,
                Image.object_key,
                Image.preview_key,
                Image.thumb_key,
                Decision.id,
                Decision.decided_at,
            )
            .join(InboxEntry, InboxEntry.image == Image.digest)
            .join(Decision, Decision.id == InboxEntry.decision)
            .where(InboxEntry.waiting.is_(False), InboxEntry.removed_at.is_(None), Decision.decided_at < moment, *where)
        )
        return (Removable(*row) for row in self._columns(query, Image.digest))


def _removed(image: Any) -> Any:
    return and_(InboxEntry.image == image, InboxEntry.removed_at.is_not(None))


def _pictures(body: dict[str, Any]) -> Iterator[str]:
    """As ImageSpec.digests_needed, without checking a million bodies."""
    for name in ("source", "mask"):
        if body.get(name):
            yield body[name]
    for name in ("controls", "references"):
        yield from (part["image"] for part in body.get(name) or ())
