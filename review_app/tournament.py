"""A tournament among the variants of one asset: two at a time, the better one meets the next, and one act decides all.

Pure; the Grid page shows it. Nothing is written before the end, and the end is one act that can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage.ledger import InboxItem


@dataclass(frozen=True)
class Tournament:
    """`left` holds the place, the first of `rest` challenges it, `out` are beaten; `before` is one step back."""

    left: InboxItem
    rest: tuple[InboxItem, ...]
    out: tuple[InboxItem, ...] = ()
    before: Tournament | None = None

    @classmethod
    def among(cls, items: Sequence[InboxItem]) -> Tournament:
        """ValueError for fewer than two, or for images of several assets."""
        if len(items) < 2 or len({(item.project, item.asset) for item in items}) > 1:
            raise ValueError("a tournament is among two or more images of one asset")
        return cls(items[0], tuple(items[1:]))

    @property
    def right(self) -> InboxItem | None:
        """None: it is over, and `left` has won."""
        return self.rest[0] if self.rest else None

    def better(self, winner: InboxItem) -> Tournament:
        challenger, *others = self.rest
        loser = challenger if winner is self.left else self.left
        return replace(self, left=winner, rest=tuple(others), out=(*self.out, loser), before=self)
