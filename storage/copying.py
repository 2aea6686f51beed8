"""All rows of one database into another, whichever kind the two are: for a backup, a restore, a move.

One moment of the source, while others work on it, and all or nothing in the target. Both sides are compared afterwards,
row by row, whatever the order in which they return them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select, text

from schemas.errors import LedgerError
from schemas.records import Row
from storage.database import HEAD, WRITES, migrate, read_revision
from storage.failpoint import failpoint

TABLES: tuple[Table, ...] = tuple(Row.metadata.sorted_tables)
"""What others refer to comes first."""
AT_ONCE = 1_000
"""Rows in memory."""


@dataclass
class Fingerprint:
    """Of a table's rows in any order: how many, and the sum of their hashes."""

    rows: int = 0
    total: int = 0

    def add(self, row: Any) -> None:
        data = json.dumps(list(row), default=str, sort_keys=True).encode()
        self.rows += 1
        self.total = (self.total + int.from_bytes(hashlib.sha256(data).digest()[:16])) % 2**128


def copy_rows(source: Engine, target: Engine) -> dict[str, int]:
    """Rows by table. The target is empty, or holds this very copy already. LedgerError otherwise, or when what was
    written is not what was read."""
    if read_revision(source) != HEAD:
        raise LedgerError(f"the database to be copied is not at revision {HEAD}; run `dailies migrate` on it first")
    migrate(target)
    with _reading(source) as reading:
        if not _is_empty(target):
            read = {table.name: _take_fingerprint(reading, table) for table in TABLES}
            _compare(read, target, "the target database holds other rows already; give an empty one")
            return _count(read)
        with target.execution_options(**{WRITES: True}).begin() as writing:
            read = {table.name: _copy(reading, writing, table) for table in TABLES}
            failpoint("copy.before_commit")
        failpoint("copy.after_commit")
        _compare(read, target, "what was written is not what was read; empty the target and try again")
    return _count(read)


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """All statements see one moment; on SQLite a transaction does so by itself."""
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection, connection.begin():
        yield connection


def _is_empty(engine: Engine) -> bool:
    with engine.connect() as connection:
        return not any(connection.execute(select(table).limit(1)).first() for table in TABLES)


def _rows(connection: Connection, table: Table) -> Iterator[list[Any]]:
    result = connection.execution_options(stream_results=True, yield_per=AT_ONCE).execute(select(table))
    yield from (list(part) for part in result.partitions())


def _copy(reading: Connection, writing: Connection, table: Table) -> Fingerprint:
    seen = Fingerprint()
    for rows in _rows(reading, table):
        writing.execute(insert(table), [dict(row._mapping) for row in rows])
        for row in rows:
            seen.add(row)
    number = table.autoincrement_column
    if writing.dialect.name == "postgresql" and number is not None and seen.rows:
        last = writing.scalar(select(func.max(number)))
        name = {"table": table.name, "column": number.name, "last": last}
        writing.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), name)
    return seen


def _take_fingerprint(connection: Connection, table: Table) -> Fingerprint:
    seen = Fingerprint()
    for rows in _rows(connection, table):
        for row in rows:
            seen.add(row)
    return seen


def _compare(read: dict[str, Fingerprint], target: Engine, complaint: str) -> None:
    with _reading(target) as there:
        for table in TABLES:
            found = _take_fingerprint(there, table)
            if found != read[table.name]:
                raise LedgerError(f"{table.name}: {read[table.name].rows} rows here, {found.rows} there: {complaint}")


def _count(read: dict[str, Fingerprint]) -> dict[str, int]:
    return {name: one.rows for name, one in read.items()}
