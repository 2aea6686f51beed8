"""The ledger on images: each with everything that is known about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.manifest import BrandGuide
from schemas.records import Decision, FindingRow, Image, InboxEntry, Retake, Spec, Submission
from schemas.review import Finding
from schemas.spec import ImageSpec
from storage.ledger.history import Frame, find_line, make_frames, select_frames
from storage.ledger.orders import select_newest_orders
from storage.ledger.transaction import Transactions


@dataclass(frozen=True)
class ImageDetails:
    """An image and everything that is known about it, as of one moment."""

    image: Image
    spec: ImageSpec
    entry: InboxEntry
    findings: tuple[Finding, ...]
    decisions: tuple[Decision, ...]
    """All of them, oldest first."""
    standing: Decision | None
    retakes: tuple[Retake, ...]
    """What became of decisions that asked for another image."""
    line: tuple[Frame, ...]
    """Its lineage, itself included, oldest take first."""
    submission: str | None
    submission_name: str
    submitted_by: str
    brand: BrandGuide

    def shown_to(self, blind_to: str | None) -> tuple[Decision, ...]:
        """The decisions, oldest first; `blind_to`: without those that this reviewer must not see yet."""
        if blind_to is None or not self.entry.waiting or self.entry.reviews_wanted < 2:
            return self.decisions
        return tuple(decision for decision in self.decisions if decision.reviewer == blind_to)

    @property
    def revision(self) -> int:
        """What a Choice on this picture must carry."""
        return self.entry.revision


class Images(Transactions):
    def matching(self, start: str, *, most: int = 3) -> list[str]:
        """Digests of images that begin so, `most` of them at most: for people, who say only the first letters."""
        with self.reading() as session:
            within = Image.digest.between(start, start + "g")  # digests are hexadecimal
            return list(session.scalars(select(Image.digest).where(within).order_by(Image.digest).limit(most)))

    def findings(self, digest: str) -> list[Finding]:
        """What the checks said of an image."""
        query = select(FindingRow).where(FindingRow.image == digest)
        with self.reading() as session:
            return [_finding(row) for row in session.scalars(query.order_by(FindingRow.criterion))]

    def picture(self, digest: str) -> ImageDetails:
        """LedgerError when there is no such image."""
        found = self.pictures([digest])
        if digest not in found:
            raise LedgerError(f"there is no image {digest}")
        return found[digest]

    def pictures(self, digests: Iterable[str]) -> dict[str, ImageDetails]:
        """By digest, all as of one moment; what has no image is left out. As many statements for forty as for one."""
        given = list(digests)
        listed = self.listed(given)
        with self.reading() as session:
            images = {row.digest: row for row in session.scalars(select(Image).where(Image.digest.in_(listed)))}
            if not images:
                return {}
            entries = {
                row.image: row for row in session.scalars(select(InboxEntry).where(InboxEntry.image.in_(listed)))
            }
            specs = {row.digest: row for row in session.scalars(select(Spec).where(Spec.digest.in_(listed)))}
            decided, found, retakes = (
                _by_image(session.scalars(select(table).where(column.in_(listed)).order_by(*order)), column.key)
                for table, column, order in (
                    (Decision, Decision.image, (Decision.revision,)),
                    (FindingRow, FindingRow.image, (FindingRow.score.desc(), FindingRow.criterion)),
                    (Retake, Retake.parent, (Retake.decision,)),
                )
            )
            asked = _asked(session, listed)
            lines = _lines(session, specs.values(), listed)
        pictures = {}
        for digest in (digest for digest in given if digest in images):
            decisions, entry, spec = decided.get(digest, []), entries[digest], specs[digest]
            by = asked.get(digest)
            pictures[digest] = ImageDetails(
                image=images[digest],
                spec=ImageSpec.model_validate(spec.body),
                entry=entry,
                findings=tuple(_finding(row) for row in found.get(digest, [])),
                decisions=tuple(decisions),
                standing=next((decision for decision in decisions if decision.id == entry.decision), None),
                retakes=tuple(retakes.get(digest, [])),
                line=tuple(lines[digest]),
                submission=by.digest if by else None,
                submission_name=by.name if by else "",
                submitted_by=by.submitted_by if by else spec.submitted_by,
                brand=BrandGuide.model_validate(by.brand or {}) if by else BrandGuide(),
            )
        return pictures


def _finding(row: FindingRow) -> Finding:
    return Finding.model_validate(
        {
            "check": row.criterion,
            "result": row.result,
            "score": row.score,
            "sentence": row.sentence,
            "regions": row.regions,
            "data": row.data,
        }
    )


def _by_image(rows: Iterable[Any], key: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(getattr(row, key), []).append(row)
    return found


def _asked(session: Session, listed: Select[Any]) -> dict[str, Any]:
    """For each of these specs, the submission that counts."""
    newest = select_newest_orders(session, listed)
    brand = Submission.body["brand"].label("brand")
    query = select(Submission.digest, Submission.name, Submission.submitted_by, brand)
    rows = {row.digest: row for row in session.execute(query.where(Submission.digest.in_(set(newest.values()))))}
    return {spec: rows[submission] for spec, submission in newest.items()}


def _lines(session: Session, specs: Iterable[Spec], listed: Select[Any]) -> dict[str, list[Frame]]:
    """The lineage of each; most images are alone in theirs."""
    parents = set(session.scalars(select(Spec.parent).where(Spec.parent.in_(listed))))
    alone = {frame.digest: [frame] for frame in make_frames(session, select_frames().where(Spec.digest.in_(listed)))}
    return alone | {s.digest: find_line(session, s.digest) for s in specs if s.parent or s.digest in parents}
