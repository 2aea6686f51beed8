"""The ledger on deciding: one decision appended under the guard of the revision that its page saw. Which one stands is
storage/ledger/standing.py's rule."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from schemas.errors import NotAllowed, StaleDecision
from schemas.records import Decision, InboxEntry, Retake
from schemas.review import Choice, Verdict
from schemas.settings import CLIENT, LEADS
from storage.ledger.standing import find_standing, find_step, list_counting
from storage.ledger.transaction import Transactions, check_decider, now


class Decisions(Transactions):
    def decide(
        self, choice: Choice, *, reviewer: str, role: str = "reviewer", others_steps: Collection[str] = ()
    ) -> int:
        """Appends a decision and moves the inbox entry, in one transaction; returns the image's new revision.

        `others_steps`: steps of a review that this person may not take (Settings.list_others_steps).
        Raises StaleDecision when the image was decided since the page was drawn, NotAllowed when the role does not
        permit it or there is nothing to take back.
        """
        nameless = "a decision needs the name of who takes it"
        check_decider(reviewer, role, doing="deciding", nameless=nameless, also=frozenset({CLIENT}))
        return self.together("decide", lambda session: _decided(session, choice, reviewer, role, others_steps))


def _decided(session: Session, choice: Choice, reviewer: str, role: str, others_steps: Collection[str]) -> int:
    """In the caller's transaction; returns the new revision."""
    # 1. The guard: only a page that saw the newest revision gets past it, one at a time.
    guarded = session.execute(_GUARD, {"of": choice.image, "seen": choice.revision}).first()
    before = _of(session, choice.image) if choice.revision or guarded is None else []
    if guarded is None:
        raise StaleDecision(_what_came_between(choice, before, session.get(InboxEntry, choice.image)))
    wanted, steps, project, removed_at = guarded
    if removed_at is not None:
        raise NotAllowed(
            f"{choice.image[:12]} was rejected, and its bytes were removed at {removed_at:%Y-%m-%d %H:%M} UTC; "
            f"`dailies gc --put-back {choice.image[:12]}` brings them back while they are in the trash"
        )
    # 2. Whether this person may.
    holds, step = find_standing(before, wanted=wanted, steps=steps), find_step(before, steps)
    if choice.verdict is Verdict.UNDO:
        count = list_counting(before, wanted=wanted, steps=steps)
        _may_undo(session, count[-1:] if steps else count, holds, reviewer=reviewer, role=role)
    elif role == CLIENT and step != CLIENT:
        raise NotAllowed(f"a client decides at the step “{CLIENT}” of a review; this image is at {step or 'none'}")
    elif step in others_steps:
        raise NotAllowed(f"this image waits for “{step}”, and {reviewer} is not of them")
    elif choice.changes is not None and choice.verdict is Verdict.APPROVE and steps and step != steps[-1]:
        raise NotAllowed(f"“{step}” is not the last step; what an approval asks for is made after “{steps[-1]}”")
    elif holds is not None and holds.reviewer != reviewer and role not in LEADS:
        raise NotAllowed(f"{_said(holds)}; only a lead can decide otherwise")
    elif holds is not None and holds.role in LEADS and role not in LEADS:
        raise NotAllowed(f"{_said(holds)}, as {holds.role}; only a lead can decide otherwise")
    # 3. The decision, and what follows from it.
    body = choice.model_dump(mode="json", include={"marks", "reasons", "regions"})
    decision = Decision(
        image=choice.image,
        project=project,
        step=step,
        revision=choice.revision + 1,
        verdict=choice.verdict.value,
        **body,
        note=choice.note,
        changes=choice.changes.model_dump(mode="json", exclude_defaults=True) if choice.changes else None,
        reviewer=reviewer,
        role=role,
        seconds=choice.seconds,
        decided_at=now(),
    )
    session.add(decision)
    session.flush()
    after = [*before, decision]
    stands = find_standing(after, wanted=wanted, steps=steps)
    holding = {
        "decision": stands.id if stands else None,
        "verdict": stands.verdict if stands else None,
        "step": None if stands else find_step(after, steps),
    }
    session.execute(_MOVE, {"of": choice.image, "waiting": stands is None, **holding})
    return choice.revision + 1


_INBOX: Any = InboxEntry.__table__
# Written once, on the table and not on the class: deciding is what twenty people do at the same time.
_GUARD = (
    update(_INBOX)
    .where(_INBOX.c.image == bindparam("of"), _INBOX.c.revision == bindparam("seen"))
    .values(revision=_INBOX.c.revision + 1)
    .returning(_INBOX.c.reviews_wanted, _INBOX.c.steps, _INBOX.c.project, _INBOX.c.removed_at)
)
_MOVE = (
    update(_INBOX)
    .where(_INBOX.c.image == bindparam("of"))
    .values({name: bindparam(name) for name in ("waiting", "decision", "verdict", "step")})
)


def _of(session: Session, image: str) -> list[Decision]:
    return list(session.scalars(select(Decision).where(Decision.image == image).order_by(Decision.revision)))


def _may_undo(session: Session, count: Sequence[Decision], holds: Decision | None, *, reviewer: str, role: str) -> None:
    """`count`: the decisions that an undo would take back."""
    if not count:
        raise NotAllowed("there is nothing to take back: no decision on this image counts")
    if role not in LEADS and all(decision.reviewer != reviewer for decision in count):
        raise NotAllowed(f"{_said(count[-1])}; only {count[-1].reviewer} or a lead can take that back")
    if role not in LEADS and holds is not None and holds.role in LEADS and holds.reviewer != reviewer:
        raise NotAllowed(f"{_said(holds)}, as {holds.role}; only a lead can take that back")
    retake = session.get(Retake, holds.id) if holds is not None else None
    if retake is not None and retake.child is not None:
        raise NotAllowed(
            f"{_said(holds)}, and that was planned at {retake.planned_at:%Y-%m-%d %H:%M} UTC as {retake.child[:12]}; "  # type: ignore[arg-type]
            "it cannot be taken back any more, but another decision can replace it"
        )


def _what_came_between(choice: Choice, decisions: Sequence[Decision], entry: InboxEntry | None) -> str:
    if entry is None:
        return f"there is no image {choice.image} in the inbox"
    since = [_said(decision) for decision in decisions if decision.revision > choice.revision]
    if not since:
        return f"revision {choice.revision} of {choice.image[:12]} came, it is at {entry.revision}; load it again"
    return f"{'; then '.join(since)}. Your {choice.verdict} was not recorded"


def _said(decision: Decision) -> str:
    what = {Verdict.APPROVE: "approved it", Verdict.REJECT: "rejected it", Verdict.RETAKE: "asked for a retake"}
    said = what.get(Verdict(decision.verdict), "took the decision back")
    return f"{decision.reviewer} {said} at {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC"
