"""Which of an image's decisions count, and which one stands. Pure; the ledger asks here and nowhere else.

  * A lead's (or an admin's) decision stands at once and replaces whatever was decided before it.
  * A reviewer's newer decision replaces her older one.
  * Where one review is wanted, the newest decision stands.
  * Where two are wanted, a verdict stands when two different reviewers gave it. If they differ the image goes on
    waiting, for a third reviewer to agree with one of them or for a lead to settle it.
  * A reviewer's undo takes back her own decision. A lead's undo takes back all of them. Nothing older is revived: the
    image waits again.
  * Where a review has steps, each takes one decision, in their order. A rejection and a retake stand at once, an
    approval stands when every step gave one. An undo takes back the newest of them; the image waits at that step again.

An image with no standing decision waits in the inbox, always; one with a standing decision never does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from schemas.records import Decision
from schemas.review import Verdict
from schemas.settings import LEADS


def list_counting(decisions: Iterable[Decision], *, wanted: int, steps: Sequence[str] = ()) -> list[Decision]:
    """Those of an image's decisions that count, oldest first; with steps one each, in their order."""
    decisions = sorted(decisions, key=lambda decision: decision.revision)
    return _count_steps(decisions, steps) if steps else _count_people(decisions, wanted)


def _count_steps(decisions: Iterable[Decision], steps: Sequence[str]) -> list[Decision]:
    count: list[Decision] = []
    for decision in decisions:
        if decision.verdict == Verdict.UNDO:
            count = count[:-1]
        elif decision.step in steps:
            place = steps.index(decision.step)
            count = [earlier for earlier in count if steps.index(str(earlier.step)) < place] + [decision]
    return count


def _count_people(decisions: Iterable[Decision], wanted: int) -> list[Decision]:
    count: list[Decision] = []
    for decision in decisions:
        others = [d for d in count if d.reviewer != decision.reviewer]
        if decision.role in LEADS or wanted == 1:
            others = []
        count = others if decision.verdict == Verdict.UNDO else [*others, decision]
    return count


def find_standing(decisions: Iterable[Decision], *, wanted: int, steps: Sequence[str] = ()) -> Decision | None:
    """The decision that holds, or None while the image waits."""
    count = list_counting(decisions, wanted=wanted, steps=steps)
    if not count:
        return None
    newest = count[-1]
    if steps:
        return None if newest.verdict == Verdict.APPROVE and newest.step != steps[-1] else newest
    if newest.role in LEADS or wanted == 1:
        return newest
    agreed = Counter(decision.verdict for decision in count)
    return newest if agreed[newest.verdict] >= wanted else None


def find_step(decisions: Iterable[Decision], steps: Sequence[str]) -> str | None:
    """The step at which a decision is taken next, or at which the one that stands was; None where there are none."""
    count = list_counting(decisions, wanted=1, steps=steps) if steps else []
    if not count:
        return steps[0] if steps else None
    place = steps.index(str(count[-1].step))
    return steps[min(place + (count[-1].verdict == Verdict.APPROVE), len(steps) - 1)]


def do_differ(decisions: Iterable[Decision], *, wanted: int) -> bool:
    """Whether reviewers disagree and nobody has settled it."""
    decisions = list(decisions)
    count = list_counting(decisions, wanted=wanted)
    return len({decision.verdict for decision in count}) > 1 and find_standing(decisions, wanted=wanted) is None
