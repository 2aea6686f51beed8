"""A studio to another place: all objects, then all rows, then the objects that came meanwhile. Verified by fsck.

The objects first, because a record proves that its bytes exist. Those that are there already are not copied again, so
a run that was killed goes on where it was, and a second backup into the same folder costs only what is new. The source
is only read, and may be at work.
"""

from __future__ import annotations

import mimetypes
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sqlalchemy import text

from schemas.errors import LedgerError, ObjectConflict, ObjectDamaged, ObjectMissing, StoreError
from storage.copying import copy_rows
from storage.database import open_database
from storage.failpoint import failpoint
from storage.ledger import Ledger
from storage.objects import FolderStore, Store, StoredObject
from tasks.fsck import Fsck, Trouble

COPIERS = 8
"""Threads; each holds one object in memory."""


@dataclass
class StudioCopy:
    """Iterate over it for what is wrong; nothing of it is, when the copy is whole. `counts` says what was copied."""

    ledger: Ledger
    store: Store
    to_ledger: Ledger
    to_store: Store
    bytes_too: bool = True
    """Read every object of the copy back and compare it with its digest."""
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Trouble]:
        # 1. Bytes before records.
        moves_objects = self.to_store is not self.store
        if moves_objects:
            yield from self._objects()
        # 2. The records of one moment, and what was put until then.
        if self.to_ledger is not self.ledger:
            self.counts["rows"] = sum(copy_rows(self.ledger.engine, self.to_ledger.engine).values())
            if moves_objects:
                yield from self._objects()
        # 3. Is it whole?
        check = Fsck(self.to_ledger, self.to_store, bytes_too=self.bytes_too)
        yield from (trouble for trouble in check if not trouble.note)

    def _objects(self) -> Iterator[Trouble]:
        with (
            tempfile.TemporaryDirectory(prefix="dailies-copy-") as folder,
            closing(sqlite3.connect(Path(folder) / "there.db", isolation_level=None)) as there,
            ThreadPoolExecutor(COPIERS) as copiers,
        ):
            there.execute("CREATE TABLE objects (key TEXT PRIMARY KEY, bytes INTEGER) WITHOUT ROWID")
            there.execute("BEGIN")
            listed = ((found.key, found.bytes) for found in self.to_store.listing(""))
            there.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?)", listed)
            there.execute("COMMIT")
            objects = self.store.listing("")
            while page := list(islice(objects, 500)):
                missing = [found for found in page if not _is_there(there, found)]
                yield from (trouble for trouble in copiers.map(self._copy, missing) if trouble is not None)

    def _copy(self, found: StoredObject) -> Trouble | None:
        key = found.key
        try:
            data = self.store.get(key)
            self.to_store.put_once(key, data, media_type=mimetypes.guess_type(key)[0] or "application/octet-stream")
        except ObjectMissing:
            return None  # `dailies gc` moved it; the trash comes later in the listing
        except ObjectDamaged as damaged:
            return Trouble("object damaged", key, f"{damaged}; it was not copied")
        except ObjectConflict:
            return Trouble("object differs", key, "the target has other bytes under this key; they were left alone")
        self.counts["objects"] += 1
        self.counts["bytes"] += len(data)
        failpoint("copy.after_object")
        return None


def _is_there(there: sqlite3.Connection, found: StoredObject) -> bool:
    row = there.execute("SELECT bytes FROM objects WHERE key = ?", (found.key,)).fetchone()
    return row is not None and row[0] == found.bytes


# --- a backup: SQLite and a folder, whatever the studio has ---------------------------------------------------------

DATABASE, OBJECTS, UNFINISHED = "dailies.db", "objects", "dailies.db.part"


def check_apart(store: Store, other: Store) -> None:
    """StoreError when one lies in the other."""
    if isinstance(store, FolderStore) and isinstance(other, FolderStore):
        one, two = store.root.resolve(), other.root.resolve()
        if one.is_relative_to(two) or two.is_relative_to(one):
            raise StoreError(f"{two} and {one} lie in one another; give a folder elsewhere")


def make_backup(
    ledger: Ledger, store: Store, folder: Path, copy: list[StudioCopy], *, quick: bool
) -> Iterator[Trouble]:
    """Into `folder`: dailies.db, which replaces that of the backup before when it is whole, and objects/. The copy
    is appended to `copy`, for its counts."""
    objects = FolderStore(folder / OBJECTS)
    check_apart(store, objects)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (UNFINISHED, f"{UNFINISHED}-wal", f"{UNFINISHED}-shm"):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    engine = open_database(f"sqlite:///{folder / UNFINISHED}")
    copy.append(StudioCopy(ledger, store, Ledger(engine), objects, bytes_too=not quick))
    try:
        yield from copy[-1]
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    finally:
        engine.dispose()
    failpoint("backup.before_rename")
    os.replace(folder / UNFINISHED, folder / DATABASE)


def open_backup(folder: Path) -> tuple[Ledger, FolderStore]:
    """LedgerError when there is none in `folder`."""
    if not (folder / DATABASE).is_file():
        unfinished = "; one that was not finished is" if (folder / UNFINISHED).exists() else ""
        raise LedgerError(f"{folder / DATABASE}: there is no backup{unfinished}")
    return Ledger(open_database(f"sqlite:///{folder / DATABASE}")), FolderStore(folder / OBJECTS)
