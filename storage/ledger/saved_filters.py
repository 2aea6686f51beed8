"""The ledger on filters of the Inbox that have names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, or_, select

from schemas.errors import LedgerError
from schemas.playlists import NewFilter
from schemas.records import SavedFilter
from storage.ledger.transaction import Transactions, check_decider, now

MOST = 50
"""Filters of one person."""


@dataclass(frozen=True)
class NamedFilter:
    id: int
    owner: str
    name: str
    query: Mapping[str, str]
    shared: bool


class SavedFilters(Transactions):
    def save_filter(self, new: NewFilter, *, owner: str, role: str = "reviewer") -> None:
        """The name's filter from now on. Raises NotAllowed where the role does not permit it, LedgerError for one more
        than MOST."""
        check_decider(owner, role, doing="saving a filter", nameless="a filter needs the name of whose it is")
        with self.writing("save_filter") as session:
            self.alone(session, "save_filter")
            mine = {one.name: one for one in session.scalars(select(SavedFilter).where(SavedFilter.owner == owner))}
            if new.name not in mine and len(mine) >= MOST:
                raise LedgerError(f"got one filter more than {MOST}; remove one first")
            row = mine.get(new.name) or SavedFilter(owner=owner, name=new.name)
            row.query, row.shared, row.saved_at = new.model_dump()["query"], new.shared, now()
            session.add(row)

    def remove_filter(self, number: int, *, owner: str) -> None:
        """Another person's stays."""
        with self.writing("remove_filter") as session:
            session.execute(delete(SavedFilter).where(SavedFilter.id == number, SavedFilter.owner == owner))

    def saved_filters(self, owner: str) -> list[NamedFilter]:
        """Hers, then what others share; by name."""
        query = select(SavedFilter).where(or_(SavedFilter.owner == owner, SavedFilter.shared))
        with self.reading() as session:
            found = [NamedFilter(one.id, one.owner, one.name, one.query, one.shared) for one in session.scalars(query)]
        return sorted(found, key=lambda one: (one.owner != owner, one.name.casefold(), one.owner))
