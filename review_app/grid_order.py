"""The Grid's list of what waits, and an act on one of its images. Knows no Streamlit.

A page script's own classes are new at every run; what a session keeps is of these.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from schemas.review import Reason, Verdict
from storage.ledger import InboxItem, InboxPlace, Ledger


@dataclass(frozen=True)
class Order:
    """What waits under the page's filter, in order, under a name of its own. The browser answers with places in it."""

    name: str
    """Random, so that a page which outlived its session cannot act on another list."""
    places: list[InboxPlace]
    sections: list[tuple[str, int]]
    """Title and images; of one section the title may be empty."""

    def list_chosen(self, ranges: Sequence[Sequence[int]]) -> list[InboxPlace]:
        """The places in ranges of first and last. LookupError for a range that is none of this order's."""
        found: list[InboxPlace] = []
        for first, last in ranges:
            if not 0 <= first <= last < len(self.places):
                raise LookupError(f"there is no image {last}")
            found += self.places[first : last + 1]
        return found

    def list_rivals(self, chosen: InboxPlace) -> list[InboxPlace]:
        """The others of its asset."""
        asset = (chosen.project, chosen.asset)
        return [place for place in self.places if (place.project, place.asset) == asset and place is not chosen]


@dataclass(frozen=True)
class Act:
    """A verdict on one image, under the revision that was shown."""

    place: InboxPlace | InboxItem
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    note: str = ""

    def reverse(self, revision: int) -> Act:
        """The undo of this act, which made `revision`."""
        place = self.place
        return Act(InboxPlace(place.digest, revision, place.project, place.asset), Verdict.UNDO)


def find_order(
    ledger: Ledger,
    known: Order | None,
    *,
    reviewer: str,
    others_steps: Collection[str] = (),
    project: str | None = None,
    asset: str | None = None,
    check: str | None = None,
    maybe: str | None = None,
) -> Order:
    """What waits now under this filter. The same images as in `known` keep its name, and so the browser's selection.

    Asset by asset where assets have several images; else in the inbox's order, without headings, since one over every
    single image would only take room.
    """
    counts = [count for count in ledger.inbox_counts(project=project) if asset in (None, count.asset)]
    titled = sum(count.waiting for count in counts) >= 4 * len(counts) and len(counts) > 1
    places = ledger.inbox_order(
        project=project,
        asset=asset,
        check=check,
        maybe=maybe,
        reviewer=reviewer,
        others_steps=others_steps,
        by_asset=titled,
    )
    if known is not None and known.places == places:
        return known
    sections = [("", len(places))]
    if titled:
        groups = groupby(places, key=lambda place: (place.project, place.asset))
        sections = [(name if project else f"{of} · {name}", len(list(group))) for (of, name), group in groups]
    return Order(secrets.token_hex(6), places, sections)
