"""The ledger on what follows from decisions: retakes and promotions to plan, images to deliver."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, exists, or_, select, text
from sqlalchemy.orm import Session

from schemas.errors import LedgerError
from schemas.records import Decision, Delivery, Image, InboxEntry, Order, Retake, Spec, Submission
from schemas.review import Changes, Verdict
from schemas.spec import ImageSpec
from storage.ledger.submissions import NO_DUE, Submissions
from storage.ledger.transaction import chunks, now

ASKS = text("(decisions.verdict = 'retake' OR decisions.changes IS NOT NULL)")
"""As in the index ix_decisions_asking, word for word."""


class Outcomes(Submissions):
    def awaiting_retake(self) -> list[tuple[Decision, ImageSpec, Image]]:
        """Standing decisions that ask for another image (a retake, or the promotion of an approved draft) and have no
        answer yet, oldest first."""
        query = (
            select(Decision, Spec.body, Image)
            .join(InboxEntry, and_(InboxEntry.image == Decision.image, InboxEntry.decision == Decision.id))
            .join(Spec, Spec.digest == Decision.image)
            .join(Image, Image.digest == Decision.image)
            .where(ASKS, ~exists().where(Retake.decision == Decision.id))
            .order_by(Decision.id)
        )
        with self.reading() as session:
            return [
                (decision, ImageSpec.model_validate(body), image)
                for decision, body, image in session.execute(query)
                if _asks(decision)
            ]

    def plan_retake(self, decision_id: int, *, parent: str, child: ImageSpec | None, refused: str | None) -> bool:
        """Answers a decision with a spec in the queue, or with the reason why there is none. In the parent's place in
        the queue, for the same submissions. False: it was answered before, or does not stand any more."""
        if (child is None) == (refused is None):
            raise ValueError("a retake has either a child or a reason why it was refused")
        with self.writing("retake") as session:
            self.alone(session, "plan")  # before the entry, as planners lock them
            # 1. Nobody decides about the parent meanwhile.
            entry = session.scalar(select(InboxEntry).where(InboxEntry.image == parent).with_for_update())
            if entry is None:
                raise LedgerError(f"there is no image {parent}")
            if entry.decision != decision_id or session.get(Retake, decision_id) is not None:
                return False
            # 2. The child, asked for by whoever asked for the parent.
            if child is not None:
                self._plan_child(session, parent, child)
            # 3. The proof.
            session.add(
                Retake(
                    decision=decision_id,
                    parent=parent,
                    child=child.digest if child else None,
                    refused=refused,
                    planned_at=now(),
                )
            )
        return True

    def _plan_child(self, session: Session, parent: str, child: ImageSpec) -> None:
        asked = session.get_one(Spec, parent)
        due = None if asked.due == NO_DUE else asked.due
        self.add_specs(session, [child], priority=asked.priority, due=due, submitted_by=asked.submitted_by)
        orders = session.scalars(select(Order.submission).where(Order.spec == parent))
        rows = [{"submission": submission, "spec": child.digest} for submission in orders]
        self.insert(session, Order, rows, skip_known=True)

    def deliverable(
        self, *, project: str | None = None, again: bool = False, also: Iterable[str] = ()
    ) -> list[tuple[Image, ImageSpec, Decision]]:
        """Approved images that were not delivered yet, by asset and variant. `again`: those too; `also`: these of them.

        An approval that promotes a draft is not among them: its final is what will be delivered. Unless there will be
        none, because the promotion was refused.
        """
        wanted: list[ColumnElement[bool]] = [Decision.verdict == Verdict.APPROVE.value]
        if project is not None:
            wanted.append(InboxEntry.project == project)
        if not again:
            left = exists().where(Delivery.image == InboxEntry.image)
            wanted.append(or_(~left, InboxEntry.image.in_(self.listed(also))))
        query = (
            select(Image, Spec.body, Decision, Retake.refused)
            .join(InboxEntry, InboxEntry.image == Image.digest)
            .join(Decision, Decision.id == InboxEntry.decision)
            .join(Spec, Spec.digest == Image.digest)
            .outerjoin(Retake, Retake.decision == Decision.id)
            .where(*wanted)
            .order_by(Image.project, Image.asset, Spec.variant, Spec.take, Image.digest)
        )
        with self.reading() as session:
            return [
                (image, ImageSpec.model_validate(body), decision)
                for image, body, decision, refused in session.execute(query)
                if refused is not None or not _asks(decision)
            ]

    def deliver(self, delivery: Delivery, *, again: bool = False) -> bool:
        """Writes down that an image left under its name. False: it had left before, under that same name.

        LedgerError when it left under another name (`again`: then this one takes its place), when another image has
        this name, or when its approval does not stand any more.
        """
        with self.writing("deliver") as session:
            entry = session.scalar(select(InboxEntry).where(InboxEntry.image == delivery.image).with_for_update())
            before = session.get(Delivery, delivery.image)
            if before is not None and (before.name == delivery.name or not again):
                if before.name != delivery.name:
                    raise LedgerError(f"{delivery.image[:12]} was delivered as {before.name}; got {delivery.name}")
                return False
            if entry is None or entry.decision != delivery.decision:
                raise LedgerError(f"{delivery.name}: the approval of {delivery.image[:12]} does not stand any more")
            holder = session.scalar(
                select(Delivery.image).where(Delivery.project == delivery.project, Delivery.name == delivery.name)
            )
            if holder is not None:
                raise LedgerError(f"{delivery.name} is {holder[:12]}'s name in {delivery.project} already")
            row = {column.key: getattr(delivery, column.key) for column in Delivery.__table__.columns}
            row |= {"asset": entry.asset, "delivered_at": delivery.delivered_at or now()}
            if before is not None:
                session.delete(before)
                session.flush()
            self.insert(session, Delivery, [row])
        return True

    def delivered_names(self, digests: Iterable[str]) -> dict[str, str]:
        """Image -> path under delivery/, for those of `digests` that left."""
        query = select(Delivery.image, Delivery.name).where(Delivery.image.in_(self.listed(digests)))
        with self.reading() as session:
            return {image: name for image, name in session.execute(query)}  # noqa: C416

    def find_reviewers(self, decisions: Iterable[int]) -> dict[int, str]:
        """Decision -> who took it."""
        with self.reading() as session:
            rows = (
                row
                for chunk in chunks(decisions, 500)
                for row in session.execute(select(Decision.id, Decision.reviewer).where(Decision.id.in_(chunk)))
            )
            return {decision: reviewer for decision, reviewer in rows}  # noqa: C416

    def ordered_since_delivery(self) -> list[str]:
        """Images that left before the newest of their orders came."""
        query = select(Delivery.image).where(
            exists().where(
                Order.spec == Delivery.image,
                Submission.digest == Order.submission,
                Submission.submitted_at > Delivery.delivered_at,
            )
        )
        with self.reading() as session:
            return list(session.scalars(query))

    def deliveries(self, *, project: str | None = None, withdrawn: bool = False) -> list[Delivery]:
        """What left, by project and name. `withdrawn`: only what is not approved any more since it left."""
        query = select(Delivery).order_by(Delivery.project, Delivery.name)
        if project is not None:
            query = query.where(Delivery.project == project)
        if withdrawn:
            still = exists().where(
                InboxEntry.image == Delivery.image,
                Decision.id == InboxEntry.decision,
                Decision.verdict == Verdict.APPROVE.value,
            )
            query = query.where(~still)
        with self.reading() as session:
            return list(session.scalars(query))


def _asks(decision: Decision) -> bool:
    if decision.verdict == Verdict.RETAKE.value:
        return True
    return decision.changes is not None and Changes.model_validate(decision.changes).tier is not None
