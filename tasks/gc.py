"""Makes room: what was rejected long ago, what no record names, what can be made again. Keeps every record.

Nothing that is approved, delivered or waits for a person ever goes, nor a picture that a kept image or open work reads.
What is removed is moved to the trash first, where it stays for `trash_days` and can be put back. So it is safe beside a
running night: a night that puts the very bytes of an object that nobody named, in the moment when it is moved, is found
by a second look at the end of the run or by the next run, long before the trash is emptied.

Looks only, unless it is asked to remove. May be killed at any moment, and run again.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.errors import LedgerError, ObjectMissing
from schemas.names import count_noun
from schemas.settings import Limits, Retention
from storage.failpoint import failpoint
from storage.ledger import Ledger
from storage.ledger.retention import Removable
from storage.objects import CONTENT_KEY, TRASH, Store
from storage.pictures import decode_kept, make_preview
from tasks.shift.shifts import Shift

COLLECTED = ("manifests", "sources", "conditions", "images", "previews", "thumbs", "masks", "shifts", "reports")
"""Folders of the store in which it removes anything at all."""


@dataclass(frozen=True)
class Removal:
    """One thing that goes (or would go): `kind` says why, `key` what, `detail` whose."""

    kind: str
    key: str
    bytes: int
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.detail} ({self.bytes:,} bytes)"


@dataclass
class GarbageCollection:
    """Iterate over it for what goes, or would go; `counts` and `bytes` add it up by kind."""

    ledger: Ledger
    store: Store
    retention: Retention
    remove: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    counts: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Removal]:
        with (
            tempfile.TemporaryDirectory(prefix="dailies-gc-") as folder,
            closing(sqlite3.connect(Path(folder) / "index.db", isolation_level=None)) as index,
        ):
            for removal in self._collect(index):
                self.counts[removal.kind] += 1
                self.bytes[removal.kind] += removal.bytes
                yield removal

    def _collect(self, index: sqlite3.Connection) -> Iterator[Removal]:
        # 1. What there is, and what is needed. In a file: a million of them need no memory.
        index.executescript(_TABLES)
        trash = ((f.key.removeprefix(TRASH), f.bytes, f.changed_at.timestamp()) for f in self.store.listing(TRASH))
        _fill(index, "INSERT INTO trash VALUES (?, ?, ?)", trash)
        index.execute("INSERT INTO objects SELECT key, bytes, changed_at, 0, 1 FROM trash")
        for kind in COLLECTED:
            listed = (
                (found.key, found.bytes, found.changed_at.timestamp()) for found in self.store.listing(f"{kind}/")
            )
            _fill(index, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, 0, 0)", listed)
        self._mark(index)
        failpoint("gc.after_mark")
        # 2. What goes, the trash first: what is moved now stays there for its time.
        yield from self._trash(index)
        yield from self._rejected(index)
        yield from self._previews(index)
        yield from self._conditions(index)
        yield from self._unreferenced(index)
        for part in self.store.unfinished(self._before(self.retention.unreferenced_days)):
            if self.remove:
                self.store.delete_unfinished(part.key)
            yield Removal("unfinished", part.key, part.bytes, f"since {part.changed_at:%Y-%m-%d}")
        # 3. A second look: was something moved that somebody began to need meanwhile?
        if self.remove:
            index.executescript("UPDATE objects SET uses = 0; DELETE FROM needed; DELETE FROM users;")
            self._mark(index)
            for key, size in _walk(index, f"{_NEEDED} AND key IN (SELECT key FROM moved)"):
                if not self.store.exists(key) and self.store.move(TRASH + key, key):
                    yield Removal("put back", key, size, "a record names it since this run began")

    # --- what is needed ---------------------------------------------------------------------------------------------

    def _mark(self, index: sqlite3.Connection) -> None:
        fresh = self._before(self.retention.conditions_days)
        use = "UPDATE objects SET uses = uses + 1 WHERE key = ?"
        index.execute("BEGIN")
        for reference in self.ledger.references():
            if not reference.key.startswith("conditions/"):
                index.execute(use, (reference.key,))
        for image in self.ledger.image_objects():
            for key in image.conditions:
                if image.made_at >= fresh and image.removed_at is None:
                    index.execute(use, (key,))
                index.execute("INSERT INTO users VALUES (?, ?)", (key, image.digest))
        for spec in self.ledger.open_specs():
            for control in spec.controls:
                index.execute(use, (control.condition_key(spec.width, spec.height),))
        index.executemany("INSERT OR IGNORE INTO needed VALUES (?)", ((d,) for d in self.ledger.needed_pictures()))
        index.execute("COMMIT")

    def _before(self, days: float | None) -> datetime:
        """The moment before which something is old; at the beginning of time where nothing ever is."""
        return datetime.min.replace(tzinfo=UTC) if days is None else self.at - timedelta(days=days)

    # --- what goes --------------------------------------------------------------------------------------------------

    def _trash(self, index: sqlite3.Connection) -> Iterator[Removal]:
        """What is named again is put back, the rest is deleted when its time has come."""
        for key, size in _walk(index, f"{_NEEDED} AND in_trash"):
            if self.remove:
                self.store.move(TRASH + key, key)
            yield Removal("put back", key, size, "a record names it")
        old = self._before(self.retention.trash_days)
        for key, size in _walk(index, "changed_at < ?", old.timestamp(), table="trash"):
            if index.execute(f"SELECT 1 FROM objects WHERE key = ? AND in_trash AND {_NEEDED}", (key,)).fetchone():
                continue
            if self.remove:
                self.store.delete(TRASH + key)
            yield Removal("trash", key, size, f"longer there than {self.retention.trash_days:g} days")

    def _rejected(self, index: sqlite3.Connection) -> Iterator[Removal]:
        for image in self.ledger.rejected_before(self._before(self.retention.rejected_days)):
            row = index.execute("SELECT bytes, uses FROM objects WHERE key = ?", (image.object_key,)).fetchone()
            shared = row is not None and row[1] > 1
            if shared or index.execute(_IS_NEEDED, (image.sha256,)).fetchone():
                continue  # a retake of it, or another image's record, still reads these bytes
            if self.remove:
                if not self.ledger.remove_image(image.image, image.decision):
                    continue  # decided otherwise, or delivered, since this run began
                failpoint("gc.after_record")
                self._release(index, image.object_key)
                self._release(index, image.preview_key if image.preview_key != image.thumb_key else "")
            index.execute("INSERT INTO gone VALUES (?)", (image.image,))
            yield Removal("rejected", image.object_key, row[0] if row else 0, _whose(image))

    def _previews(self, index: sqlite3.Connection) -> Iterator[Removal]:
        for image in self.ledger.large_previews_before(self._before(self.retention.previews_days)):
            row = index.execute("SELECT bytes, uses FROM objects WHERE key = ?", (image.preview_key,)).fetchone()
            gone = index.execute("SELECT 1 FROM gone WHERE image = ?", (image.image,)).fetchone()
            if row is None or row[1] > 1 or gone:
                continue
            if self.remove:
                if not self.ledger.shrink_preview(image.image, image.decision):
                    continue
                self._release(index, image.preview_key)
            yield Removal("preview", image.preview_key, row[0], _whose(image))

    def _conditions(self, index: sqlite3.Connection) -> Iterator[Removal]:
        if self.retention.conditions_days is None:
            return
        old = self._before(self.retention.conditions_days).timestamp()
        for key, size in _walk(index, "key LIKE 'conditions/%' AND uses = 0 AND NOT in_trash AND changed_at < ?", old):
            users = [image for (image,) in index.execute("SELECT image FROM users WHERE key = ?", (key,))]
            if self.remove:
                self.ledger.forget_conditions(users)
                self._release(index, key)
            yield Removal("condition", key, size, f"of {count_noun(len(users), 'image')}" if users else "of no image")

    def _unreferenced(self, index: sqlite3.Connection) -> Iterator[Removal]:
        old = self._before(self.retention.unreferenced_days).timestamp()
        where = f"NOT {_NEEDED} AND NOT in_trash AND changed_at < ? AND key NOT IN (SELECT key FROM moved)"
        for key, size in _walk(index, where, old):
            if CONTENT_KEY.fullmatch(key) is None:
                continue  # a condition, or what we did not put there
            if key.startswith("shifts/") and self._is_open(key):
                continue  # the same batches, asked for again tonight, would be this object
            if self.remove:
                self._release(index, key)
            yield Removal("unreferenced", key, size, "no record names it")

    def _is_open(self, shift: str) -> bool:
        try:
            batches = Shift.load(self.store.get(shift)).batches
        except (ObjectMissing, ValueError):
            return False
        return self.ledger.are_open(digest for batch in batches for digest in batch)

    def _release(self, index: sqlite3.Connection, key: str) -> None:
        """One record does not name this object any more. The last one's goes to the trash."""
        index.execute("UPDATE objects SET uses = max(uses - 1, 0) WHERE key = ?", (key,))
        (left,) = index.execute("SELECT uses FROM objects WHERE key = ?", (key,)).fetchone() or (1,)
        if left == 0:
            self.store.move(key, TRASH + key)
            index.execute("INSERT OR IGNORE INTO moved VALUES (?)", (key,))
            failpoint("gc.after_move")


def put_back(ledger: Ledger, store: Store, image: str, limits: Limits) -> None:
    """An image that was removed, out of the trash, with its preview. LedgerError when its bytes are gone for ever."""
    record = ledger.picture(image).image
    key = record.object_key
    if not store.exists(key) and not store.move(TRASH + key, key):
        raise LedgerError(f"{image[:12]}: its bytes are not in the trash any more")
    try:
        pixels = decode_kept(store.get(key), limits=limits)
    except ObjectMissing as missing:
        raise LedgerError(f"{image[:12]}: {missing}") from None
    preview = store.put_content("previews", make_preview(pixels, PREVIEW), extension="webp", media_type="image/webp")
    ledger.restore_image(image, preview)


PREVIEW = 1024
"""px, longest side, as tasks/shift/image_writer.py makes it."""

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE trash (key TEXT PRIMARY KEY, bytes INTEGER, changed_at REAL) WITHOUT ROWID;
CREATE TABLE objects (
    key TEXT PRIMARY KEY, bytes INTEGER, changed_at REAL, uses INTEGER, in_trash INTEGER
) WITHOUT ROWID;
CREATE TABLE needed (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE users (key TEXT, image TEXT, PRIMARY KEY (key, image)) WITHOUT ROWID;
CREATE TABLE moved (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE gone (image TEXT PRIMARY KEY) WITHOUT ROWID;
"""
"""`uses`: records that name the object. `needed`: pictures that specs read. `users`: images made from a condition."""
_IS_NEEDED = "SELECT 1 FROM needed WHERE digest = ?"
_NEEDED = """(uses > 0 OR ((key LIKE 'sources/%' OR key LIKE 'masks/%' OR key LIKE 'images/%')
    AND substr(key, instr(key, '/') + 4, 64) IN (SELECT digest FROM needed)))"""


def _fill(index: sqlite3.Connection, statement: str, rows: Iterator[tuple[str, int, float]]) -> None:
    index.execute("BEGIN")
    index.executemany(statement, rows)
    index.execute("COMMIT")


def _walk(index: sqlite3.Connection, where: str, *values: float, table: str = "objects") -> Iterator[tuple[str, int]]:
    """(key, bytes) by key, a page in memory at a time; rows may change between two of them."""
    after = ""
    while page := index.execute(
        f"SELECT key, bytes FROM {table} WHERE key > ? AND ({where}) ORDER BY key LIMIT 1000", (after, *values)
    ).fetchall():
        after = page[-1][0]
        yield from page


def _whose(image: Removable) -> str:
    return f"{image.project} / {image.asset}, image {image.image[:12]}, decided {image.decided_at:%Y-%m-%d}"
