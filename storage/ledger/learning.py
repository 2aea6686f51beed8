"""What a learner is shown of decided and of waiting images, and the order that it gives the inbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from schemas.records import Decision, FindingRow, InboxEntry, Spec, Training
from schemas.review import BAND, Criterion, Mark, Reason, Result, Verdict, rank_by_chance
from schemas.spec import ImageSpec
from storage.ledger.transaction import Transactions, chunks, now

PAGE = 1_000

Place = tuple[str, int, dict[str, float] | None]
"""Image, rank, chances."""


@dataclass(frozen=True)
class Measured:
    """What one check says of an image. `data`: what it measured."""

    check: Criterion
    result: Result
    score: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Lesson:
    """An image with what was measured on it and, if it was decided, what people said."""

    image: str
    spec: ImageSpec
    findings: tuple[Measured, ...]
    verdict: Verdict | None = None
    marks: Mapping[Criterion, Mark] | None = None
    reasons: tuple[Reason, ...] = ()


class Learning(Transactions):
    def count_lessons(self) -> dict[Verdict, int]:
        """Standing decisions by verdict."""
        query = select(InboxEntry.verdict, func.count()).where(InboxEntry.verdict.is_not(None))
        with self.reading() as session:
            rows = session.execute(query.group_by(InboxEntry.verdict)).tuples()
            return {Verdict(verdict): count for verdict, count in rows if verdict is not None}

    def lessons(self, *, limit: int) -> list[Lesson]:
        """Images with the newest standing decisions, newest first."""
        newest = select(Decision.id).order_by(Decision.decided_at.desc(), Decision.id.desc()).limit(limit)
        found: list[Lesson] = []
        with self.reading() as session:
            for chunk in chunks(session.scalars(newest).all(), PAGE):
                query = (
                    select(Decision.image, Decision.verdict, Decision.marks, Decision.reasons, Spec.body)
                    .join(InboxEntry, and_(InboxEntry.image == Decision.image, InboxEntry.decision == Decision.id))
                    .join(Spec, Spec.digest == Decision.image)
                    .where(Decision.id.in_(chunk))
                    .order_by(Decision.decided_at.desc(), Decision.id.desc())
                )
                rows = session.execute(query).all()
                measured = self._measured(session, [row.image for row in rows])
                found += [
                    Lesson(
                        image=image,
                        spec=ImageSpec.model_validate(body),
                        findings=measured.get(image, ()),
                        verdict=Verdict(verdict),
                        marks={Criterion(name): Mark(mark) for name, mark in marks.items()},
                        reasons=tuple(map(Reason, reasons)),
                    )
                    for image, verdict, marks, reasons, body in rows
                ]
        return found

    def waiting_lessons(self, *, after: str = "", limit: int = PAGE) -> list[Lesson]:
        """Images that wait, by digest, from `after` on."""
        query = (
            select(InboxEntry.image, Spec.body)
            .join(Spec, Spec.digest == InboxEntry.image)
            .where(InboxEntry.waiting, InboxEntry.image > after)
            .order_by(InboxEntry.image)
            .limit(limit)
        )
        with self.reading() as session:
            rows = session.execute(query).tuples().all()
            measured = self._measured(session, [image for image, _ in rows])
        return [Lesson(image, ImageSpec.model_validate(body), measured.get(image, ())) for image, body in rows]

    def _measured(self, session: Session, images: Sequence[str]) -> dict[str, tuple[Measured, ...]]:
        columns = (FindingRow.image, FindingRow.criterion, FindingRow.result, FindingRow.score, FindingRow.data)
        found: dict[str, list[Measured]] = {}
        query = select(*columns).where(FindingRow.image.in_(self.listed(images)))
        for image, check, result, score, data in session.execute(query.order_by(FindingRow.criterion)):
            found.setdefault(image, []).append(Measured(Criterion(check), Result(result), score, data))
        return {image: tuple(several) for image, several in found.items()}

    def reorder(self, chances: Mapping[str, Mapping[str, float]]) -> None:
        """Image -> its chance of being rejected (`all`), and by criterion. An image that was decided meanwhile keeps
        its place; none leaves the inbox, and none passes another of a higher priority."""
        with self.writing("reorder") as session:
            waiting = select(InboxEntry.image, InboxEntry.rank).where(
                InboxEntry.waiting, InboxEntry.image.in_(self.listed(chances))
            )
            places: list[Place] = [
                (image, rank_by_chance(rank, chances[image]["all"]), dict(chances[image]))
                for image, rank in session.execute(waiting.with_for_update()).tuples()
            ]
            _place(session, places)

    def reset_order(self) -> int:
        """Flagged images first again, as if nothing had been learned; how many had another place."""
        learned = select(InboxEntry.image, InboxEntry.rank, InboxEntry.flags).where(
            InboxEntry.waiting, InboxEntry.chances.is_not(None)
        )
        count = 0
        while True:
            with self.writing("reset_order") as session:
                page = session.execute(learned.limit(PAGE).with_for_update()).tuples().all()
                _place(session, [(image, rank // BAND * BAND + (0 if flags.strip() else 2 * (BAND // 3)), None)
                                 for image, rank, flags in page])  # fmt: skip
            count += len(page)
            if not page:
                return count

    def approved_looks(self, project: str, *, limit: int = 300) -> dict[str, tuple[float, ...]]:
        """What the brand check measured of a project's approved images (checks/look.py), the newest `limit`; images
        from before it measured that are left out."""
        query = (
            select(InboxEntry.image, FindingRow.data)
            .join(FindingRow, and_(FindingRow.image == InboxEntry.image, FindingRow.criterion == Criterion.BRAND.value))
            .where(InboxEntry.project == project, InboxEntry.verdict == Verdict.APPROVE.value)
            .order_by(InboxEntry.decision.desc())
            .limit(limit)
        )
        with self.reading() as session:
            rows = session.execute(query).tuples().all()
        return {image: tuple(data["look"]) for image, data in rows if data.get("look")}

    def keep_training(self, *, decisions: int, outcome: str, report: Mapping[str, Any]) -> None:
        with self.writing("keep_training") as session:
            session.add(Training(trained_at=now(), decisions=decisions, outcome=outcome, report=dict(report)))

    def last_training(self) -> Training | None:
        with self.reading() as session:
            return session.scalar(select(Training).order_by(Training.id.desc()).limit(1))


def _place(session: Session, places: Sequence[Place]) -> None:
    if not places:
        return
    table: Any = InboxEntry.__table__
    changed = update(table).where(table.c.image == bindparam("b_image"))
    rows = [{"b_image": image, "b_rank": rank, "b_chances": chances} for image, rank, chances in places]
    session.connection().execute(changed.values(rank=bindparam("b_rank"), chances=bindparam("b_chances")), rows)
