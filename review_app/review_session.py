"""Decisions, comments and ratings as they come from the reviewing screen, each taken once.

The screen numbers its events and sends all that are unanswered, over and over, until it has seen an answer to each;
this is the other end. What was answered is not taken again; what a restart made us forget is recognised in the ledger.
No rule about reviewing is here: `ledger.decide` has them all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from review_app.rating import take_rating
from review_app.talk import Heard, take_comment
from schemas.errors import LedgerError, LedgerUnavailable, StaleDecision
from schemas.review import Choice, Verdict, spell_errors
from storage.ledger import Ledger

REMEMBERED = 400
HELD_SECONDS = 300.0
LOW = 26
"""Images in hand, of IN_HAND, at which more are taken."""


@dataclass
class ReviewSession:
    """What this session has answered, oldest first."""

    client: str = ""
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    trouble: str = ""
    held: set[str] = field(default_factory=set)
    """What this reviewer has in hand."""
    held_at: float = 0.0
    taken_over: int = 0
    """The last time that this reviewer took over what others had in hand."""
    heard: Heard = field(default_factory=Heard)

    def take_in_hand(
        self, waiting: Sequence[str], skipped: Sequence[str], *, ledger: Ledger, reviewer: str
    ) -> list[str]:
        """Of what waits, what this reviewer looks at next, in order. Claims are renewed at half-time and topped up
        when they run low, so that most decisions write no claim."""
        put_by = set(skipped)
        if given_back := [image for image in skipped if image in self.held]:
            ledger.let_go(reviewer, given_back)
            self.held -= put_by
        mine = [image for image in waiting if image in self.held]
        old = time.monotonic() - self.held_at > HELD_SECONDS / 2
        if old or (len(mine) < LOW and len(mine) + len(put_by) < len(waiting)):
            fresh = [image for image in waiting if image not in put_by]
            self.held = ledger.hold(fresh or list(waiting), reviewer=reviewer, seconds=HELD_SECONDS)
            self.held_at = time.monotonic()
        return [image for image in waiting if image in self.held or image in put_by]

    def answer(
        self,
        client: str,
        events: Sequence[dict[str, Any]],
        *,
        ledger: Ledger,
        rights: Callable[[], dict[str, Any]],
    ) -> None:
        """`rights`: what `ledger.decide` wants to know of who decides, asked anew for each event.

        Takes the events in their order. On trouble with the database the rest stays unanswered, to be sent again.
        An event that can never be recorded is answered as refused, so that those behind it are still taken."""
        if client != self.client:
            self.client, self.answers = client, {}
        self.trouble = ""
        numbered = [event for event in events if isinstance(event, dict) and type(event.get("seq")) is int]
        for event in sorted(numbered, key=lambda event: event["seq"]):
            if event["seq"] in self.answers:
                continue
            try:
                self.answers[event["seq"]] = self._taken(event, ledger, rights())
            except LedgerUnavailable as wrong:
                self.trouble = str(wrong)
                break
        for number in sorted(self.answers)[:-REMEMBERED]:
            del self.answers[number]

    def _taken(self, event: dict[str, Any], ledger: Ledger, rights: dict[str, Any]) -> dict[str, Any]:
        reviewer, role = rights["reviewer"], rights["role"]
        told = {"client": self.client, "seq": event["seq"], "image": _named_image(event), "ok": True}
        if event.get("verdict") == "comment":
            return told | take_comment(event, ledger=ledger, reviewer=reviewer, role=role)
        if event.get("verdict") == "rate":
            return told | take_rating(event, ledger=ledger, reviewer=reviewer, role=role)
        undone = event.get("undoes")
        before = self.answers.get(undone) if isinstance(undone, int) else None
        if before is not None and not before["ok"]:
            return told | _refused("what it takes back was not recorded either", event)
        try:
            choice = Choice.model_validate({key: value for key, value in event.items() if key in Choice.model_fields})
        except ValidationError as wrong:
            return told | _refused(spell_errors(wrong), event)
        try:
            return told | {"revision": ledger.decide(choice, **rights)}
        except StaleDecision as stale:
            if _is_there(choice, ledger=ledger, reviewer=reviewer):
                return told | {"revision": choice.revision + 1}
            if (newer := _blind_revision(choice, ledger=ledger, reviewer=reviewer)) is not None:
                return self._taken(event | {"revision": newer}, ledger, rights)
            return told | _refused(str(stale), event)
        except LedgerUnavailable:
            raise
        except LedgerError as wrong:
            return told | _refused(str(wrong), event)

    def since(self, answered: int) -> list[dict[str, Any]]:
        """Answers that the screen has not seen yet."""
        return [answer for number, answer in sorted(self.answers.items()) if number > answered]


def _is_there(choice: Choice, *, ledger: Ledger, reviewer: str) -> bool:
    """Whether this very decision was written before we were asked again."""
    for decided in ledger.decisions(image=choice.image, reviewer=reviewer, limit=20):
        row = decided.decision
        if row.revision == choice.revision + 1:
            body = choice.model_dump(mode="json")
            return all(getattr(row, part) == body[part] for part in ("verdict", "marks", "reasons", "note"))
    return False


def _blind_revision(choice: Choice, *, ledger: Ledger, reviewer: str) -> int | None:
    """The newest revision, where a second review is wanted and only others have decided since: the page hides what
    they said, so it is not stale by it."""
    picture = ledger.pictures([choice.image]).get(choice.image)
    if picture is None:
        return None
    since = [decision for decision in picture.decisions if decision.revision > choice.revision]
    blind = picture.entry.waiting and picture.entry.reviews_wanted > 1 and choice.verdict is not Verdict.UNDO
    if blind and since and all(decision.reviewer != reviewer for decision in since):
        return picture.revision
    return None


def _named_image(event: dict[str, Any]) -> str:
    """The image that an event is about; empty when it names none, so that nothing odd reaches a query."""
    image = event.get("image")
    return image if isinstance(image, str) and re.fullmatch("[0-9a-f]{64}", image) else ""


def _refused(why: str, event: dict[str, Any]) -> dict[str, Any]:
    """The choice is shown back, so that nothing has to be remembered."""
    given, reasons = event.get("marks"), event.get("reasons")
    marks = [f"{criterion} {mark}" for criterion, mark in given.items()] if isinstance(given, dict) else []
    note = [f"“{event['note']}”"] if event.get("note") else []
    said = ", ".join([*map(str, reasons if isinstance(reasons, list) else []), *marks, *note])
    words = {Verdict.APPROVE: "Approve", Verdict.REJECT: "Reject", Verdict.RETAKE: "Retake", Verdict.UNDO: "Undo"}
    verdict = next((word for name, word in words.items() if name == event.get("verdict")), "This")
    title = f"{verdict} not recorded:"
    return {
        "ok": False,
        "title": title,
        "message": f"{why}. Yours was: {verdict.lower()}{f' ({said})' if said else ''}.",
    }
