"""The ledger's transactions: one a method, short, with the same promises on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy import CTE, JSON, ColumnElement, Engine, Select, Table, func, insert, literal, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from schemas.errors import DailiesError, NotAllowed
from schemas.records import Job
from schemas.settings import DECIDERS
from storage.database import WRITES
from storage.failpoint import failpoint

T = TypeVar("T")


MOST_TOGETHER = 64
"""Pieces of work in one transaction."""


class _Waiting(Generic[T]):
    """A piece of work, from the moment when it waits for its turn until its transaction has ended."""

    result: T

    def __init__(self, work: Callable[[Session], T]) -> None:
        self.work = work
        self.error: BaseException | None = None
        self.done = False

    def run(self, session: Session, *, alone: bool) -> None:
        if alone:
            self.result = self.work(session)
            return
        try:
            with session.begin_nested():
                self.result = self.work(session)
                session.flush()
        except DailiesError as refused:  # this one alone: what its savepoint held is undone
            self.error = refused
        finally:
            session.expunge_all()  # the next one reads its rows anew


class Transactions:
    """What the parts of `Ledger` have in common. Threads may share one; a forked process must open its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._on_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time and makes the others poll with growing sleeps; threads of one process queue.
        self._turn: AbstractContextManager[object] = threading.Lock() if self._on_sqlite else nullcontext()
        self._queue: deque[_Waiting[Any]] = deque()
        self._writing = engine.execution_options(**{WRITES: True})
        # All queries of one reading see the same moment; SQLite does so by itself.
        self._reading = engine if self._on_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Rows stay usable afterwards, detached."""
        with Session(self._reading, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self, name: str) -> Iterator[Session]:
        """Commits at the end, or nothing happened. Failpoints: `ledger.<name>.before_commit` and `.after_commit`."""
        with self._turn, Session(self._writing, expire_on_commit=False, autoflush=False) as session:
            with session.begin():
                yield session
                failpoint(f"ledger.{name}.before_commit")
            failpoint(f"ledger.{name}.after_commit")

    def together(self, name: str, work: Callable[[Session], T]) -> T:
        """`writing` for short work that many do at once. On SQLite whoever has the write lock takes along all that wait
        for it, each in a savepoint of its own: one commit, and so one wait for the disk, for twenty reviewers as for
        one. PostgreSQL does that by itself."""
        if not self._on_sqlite:
            with self.writing(name) as session:
                return work(session)
        mine = _Waiting(work)
        self._queue.append(mine)
        with self._turn:
            while not mine.done:
                self._take_along(name)
        if mine.error is not None:
            raise mine.error
        return mine.result

    def _take_along(self, name: str) -> None:
        """Everything that waits, in one transaction; nobody hears of an end before it is committed."""
        waiting = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_TOGETHER))]
        try:
            with Session(self._writing, expire_on_commit=False, autoflush=False) as session:
                with session.begin():
                    for one in waiting:
                        one.run(session, alone=len(waiting) == 1)
                    failpoint(f"ledger.{name}.before_commit")
                failpoint(f"ledger.{name}.after_commit")
        except BaseException as error:
            for one in waiting:
                one.error = one.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for one in waiting:
                one.done = True

    def alone(self, session: Session, what: str) -> None:
        """Until this transaction ends, others that do `what` wait. A writer on SQLite is alone anyway."""
        if not self._on_sqlite:
            session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"dailies.{what}"))))

    def listed(self, digests: Iterable[str]) -> Select[tuple[str]]:
        """For `column.in_(...)`: one parameter however many there are, so that the statement is compiled once."""
        given = literal(list(digests), JSON())
        if self._on_sqlite:
            return select(func.json_each(given).table_valued("value").c.value)
        return select(func.json_array_elements_text(given).column_valued("value"))

    def locked(self, digests: Iterable[str], condition: ColumnElement[bool]) -> CTE:
        """Jobs locked in one order, whatever order they are asked for in, so that two workers cannot deadlock."""
        listed = self.listed(dict.fromkeys(digests))
        return (
            select(Job.spec).where(Job.spec.in_(listed), condition).order_by(Job.spec).with_for_update().cte("locked")
        )

    def insert(self, session: Session, table: Any, rows: list[dict[str, Any]], *, skip_known: bool = False) -> None:
        """Many rows at once; `skip_known` leaves those alone whose key is there."""
        if not rows:
            return
        target: Table = table.__table__
        if not skip_known:
            session.execute(insert(target), rows)
        elif self._on_sqlite:
            session.execute(sqlite.insert(target).on_conflict_do_nothing(), rows)
        else:
            session.execute(postgresql.insert(target).on_conflict_do_nothing(), rows)

    def bring_statistics_up_to_date(self) -> None:
        """After many rows came at once: the planner of queries should know."""
        with self.writing("statistics") as session:
            session.execute(text("ANALYZE"))


def check_decider(name: str, role: str, *, doing: str, nameless: str, also: frozenset[str] = frozenset[str]()) -> None:
    """Raises NotAllowed where this role must not (`doing` it), or there is no name (`nameless`: what is said then).
    `also`: roles that may, beside DECIDERS."""
    if role not in DECIDERS | also:
        raise NotAllowed(f"{name} is {role}; {doing} takes one of {', '.join(sorted(DECIDERS))}")
    if not name.strip():
        raise NotAllowed(nameless)


def list_values(column: Any) -> Select[tuple[str]]:
    """The different values of a column that leads an index, one look into the index for each: DISTINCT would read all
    of it."""
    found = select(func.min(column).label("value")).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None))


def now() -> datetime:
    return datetime.now(UTC)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`, in order."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
