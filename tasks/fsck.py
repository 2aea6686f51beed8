"""Does every record have its bytes, every object its record, and does every row say the same as the others?

Reads everything and changes nothing, unless it is asked to repair. Then it writes what follows from other rows, and
nothing else: bytes that are gone or damaged come from a backup, or from `dailies reproduce`. May run beside a night:
what is put or kept meanwhile is looked at again before it is called missing. Objects that no record names are notes and
no damage: a killed worker leaves some.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from schemas.errors import ObjectDamaged, ObjectMissing
from schemas.settings import Limits
from storage.ledger import Ledger
from storage.ledger.upkeep import Reference
from storage.objects import CONTENT_KEY, KINDS, TRASH, Store
from tasks.gc import put_back

READERS = 4
PAGE, A_TASK = 2_000, 50
"""References in memory, and how many of them a thread takes at once: to hand over each alone costs more than a look."""
NIGHT_HOURS, LEASE_HOURS = 24.0, 1.0


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong. `note`: harmless. `repaired`: mended in this run."""

    kind: str
    subject: str
    detail: str
    note: bool = False
    repaired: bool = False

    def __str__(self) -> str:
        end = " (repaired)" if self.repaired else ""
        return f"{'note' if self.note else 'wrong'}: {self.kind}: {self.subject}: {self.detail}{end}"


@dataclass
class Fsck:
    """Iterate over it for the troubles, as they are seen; `counts` holds how much was looked at."""

    ledger: Ledger
    store: Store
    repair: bool = False
    bytes_too: bool = True
    """Read every object and compare it with its digest; otherwise only look whether it is there."""
    counts: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    repaired: int = 0

    def __iter__(self) -> Iterator[Trouble]:
        for trouble in self._rows():
            yield self._counted(trouble)
        with tempfile.TemporaryDirectory(prefix="dailies-fsck-") as folder:
            for trouble in self._objects(Path(folder) / "keys.db"):
                yield self._counted(trouble)

    @property
    def clean(self) -> bool:
        return self.wrong == self.repaired

    def summary(self) -> dict[str, Any]:
        return {"wrong": self.wrong, "repaired": self.repaired, "looked_at": dict(self.counts)}

    def _counted(self, trouble: Trouble) -> Trouble:
        self.wrong += not trouble.note
        self.repaired += trouble.repaired
        return trouble

    # 1. Rows against rows.
    def _rows(self) -> Iterator[Trouble]:
        ledger = self.ledger
        self.counts.update(ledger.count_rows())
        for digest in ledger.changed_specs():
            yield Trouble("spec changed", digest, "its body is not what its digest says; restore a backup")
        checks: tuple[tuple[str, str, Iterator[Any], Callable[[Any], None]], ...] = (
            ("no inbox entry", "nobody would look at this image", ledger.images_without_entry(), ledger.add_entry),
            ("made and open", "it would be made twice", ledger.images_with_open_job(), ledger.close_job),
            ("done and not made", "no image is there", ledger.jobs_without_image(), ledger.open_job),
            ("no job", "no worker can take it", ledger.specs_without_job(), ledger.open_job),
            ("lease without holder", "it ran out", ledger.stale_leases(hours=LEASE_HOURS), ledger.free_lease),
            ("night open", "it never ended", iter(ledger.stale_nights(hours=NIGHT_HOURS)), ledger.close_night),
            ("removed in error", "it is not rejected", ledger.removed_in_error(), self._put_back),
            ("inbox differs", "not what its decisions say", ledger.contradicted_entries(), ledger.set_entry),
        )
        for kind, detail, subjects, mend in checks:
            for subject in subjects:
                if self.repair:
                    mend(subject)
                yield Trouble(kind, str(subject), detail, repaired=self.repair)

    # 2. Records against objects, through a file of keys: a million of them need no memory.
    def _objects(self, file: Path) -> Iterator[Trouble]:
        with closing(sqlite3.connect(file)) as keys, ThreadPoolExecutor(READERS) as readers:
            keys.executescript(_KEYS)
            for kind in dict.fromkeys(KINDS):
                listed = ((key,) for key in self.store.keys(f"{kind}/"))
                keys.executemany("INSERT OR IGNORE INTO keys (key) VALUES (?)", listed)
            self.counts["objects"] = keys.execute("SELECT count(*) FROM keys").fetchone()[0]
            references = self.ledger.references()
            while page := list(islice(references, PAGE)):
                fresh = [reference for reference in page if self._is_first(keys, reference)]
                parts = [fresh[start : start + A_TASK] for start in range(0, len(fresh), A_TASK)]
                for troubles in readers.map(self._compare_all, parts):
                    yield from troubles
            for (key,) in keys.execute("SELECT key FROM keys WHERE used = 0 ORDER BY key"):
                if not key.startswith(("masks/", "shifts/", "conditions/", "sources/", "delivery/", "indexes/")):
                    yield Trouble("no record", key, "no record names this object", note=True)

    def _is_first(self, keys: sqlite3.Connection, reference: Reference) -> bool:
        """Marks the key as used. Objects that many records share are read once; one that disagrees with its own key is
        always compared."""
        mark = "INSERT INTO keys (key, used) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET used = 1 WHERE used = 0"
        if keys.execute(mark, (reference.key,)).rowcount:
            return True
        named = CONTENT_KEY.fullmatch(reference.key)
        return named is not None and reference.sha256 not in (None, named[1])

    def _compare_all(self, references: list[Reference]) -> list[Trouble]:
        return [trouble for reference in references for trouble in self._compare(reference)]

    def _compare(self, reference: Reference) -> list[Trouble]:
        named = CONTENT_KEY.fullmatch(reference.key)
        if named is not None and reference.sha256 not in (None, named[1]):
            detail = f"{reference.owner} names {reference.key}, and says that its bytes are {reference.sha256}"
            return [Trouble("record differs", reference.key, detail)]
        expected = reference.sha256 or (named[1] if named else None)
        try:
            if not self.bytes_too or expected is None:
                missing, actual = not self.store.exists(reference.key), expected
            else:
                missing, actual = False, hashlib.sha256(self.store.get(reference.key)).hexdigest()
        except ObjectMissing:
            missing, actual = True, None
        except ObjectDamaged as damaged:
            return [Trouble("object damaged", reference.key, f"{damaged}; {reference.owner} needs it")]
        if missing:
            return [self._missing(reference)]
        if actual != expected and actual != self._signed(reference):
            return [Trouble("object damaged", reference.key, f"its bytes are {actual}; {reference.owner} needs it")]
        return []

    def _missing(self, reference: Reference) -> Trouble:
        kind, key = "object missing", reference.key
        if self.store.exists(TRASH + key):
            repaired = self.repair and self.store.move(TRASH + key, key)
            return Trouble(kind, key, f"{reference.owner} needs it; it is in the trash", repaired=repaired)
        if key.startswith("conditions/"):
            detail = f"{reference.owner} was made from it; it is computed again when somebody needs it"
            return Trouble(kind, key, detail, note=True)
        return Trouble(kind, key, f"{reference.owner} needs it")

    def _signed(self, reference: Reference) -> str | None:
        """SHA-256 of what left, as its sidecar has it."""
        if not reference.sidecar:
            return None
        try:
            sha256 = json.loads(self.store.get(reference.sidecar))["delivered"]["sha256"]
        except (ObjectMissing, ValueError, LookupError, TypeError):
            return None
        return sha256 if isinstance(sha256, str) else None

    def _put_back(self, image: str) -> None:
        put_back(self.ledger, self.store, image, Limits())


_KEYS = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE keys (key TEXT PRIMARY KEY, used INTEGER DEFAULT 0) WITHOUT ROWID;
"""


def as_json(trouble: Trouble) -> dict[str, Any]:
    return asdict(trouble)
