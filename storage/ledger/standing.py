"""Which of an image's decisions count, and which one stands. Pure; the ledger asks here and nowhere else.

  * A lead's (or an admin's) decision stands at once and replaces whatever was decided before it.
  * A reviewer's newer decision replaces her older one.
  * Where one review is wanted, the newest decision stands.
  * Where two are wanted, a verdict stands when two different reviewers gave it. If they differ the image goes on
    waiting, for a third reviewer to agree with one of them or for a lead to settle it.
  * A reviewer's undo takes back her own decision. A lead's undo takes back all of them. Nothing older is revived: the
    image waits again.

An image with no standing decision waits in the inbox, always; one with a standing decision never does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.records import Decision
from schemas.review import Verdict
from schemas.settings import LEADS


def list_counting(decisions: Iterable[Decision], *, wanted: int) -> list[Decision]:
    """Those of an image's decisions that count, oldest first."""
    count: list[Decision] = []
    for decision in sorted(decisions, key=lambda decision: decision.revision):
        others = [d for d in count if d.reviewer != decision.reviewer]
        if decision.role in LEADS or wanted == 1:
            others = []
        count = others if decision.verdict == Verdict.UNDO else [*others, decision]
    return count


def find_standing(decisions: Iterable[Decision], *, wanted: int) -> Decision | None:
    """The decision that holds, or None while the image waits."""
    count = list_counting(decisions, wanted=wanted)
    if not count:
        return None
    newest = count[-1]
    if newest.role in LEADS or wanted == 1:
        return newest
    agreed = Counter(decision.verdict for decision in count)
    return newest if agreed[newest.verdict] >= wanted else None


def do_differ(decisions: Iterable[Decision], *, wanted: int) -> bool:
    """Whether reviewers disagree and nobody has settled it."""
    decisions = list(decisions)
    count = list_counting(decisions, wanted=wanted)
    return len({decision.verdict for decision in count}) > 1 and find_standing(decisions, wanted=wanted) is None
