"""Leases on specs for as long as this process lives: taken before a batch, renewed beside it, freed when it is kept.

On the machine where a worker died its leases are freed at once: a living worker holds a lock on its file, which no
crash can leave behind. Leases of dead workers elsewhere run out by the clock.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from schemas.errors import DeviceLost, LedgerError
from schemas.spec import ImageSpec

if TYPE_CHECKING:
    from storage.ledger import Ledger

log = logging.getLogger(__name__)


class Leases:
    """What this worker has in hand. A context: renewal runs inside it, and what is left is released at its end."""

    def __init__(self, ledger: Ledger, *, worker: str, seconds: float, folder: Path) -> None:
        self._ledger, self._worker, self._seconds, self._folder = ledger, worker, seconds, folder
        self._held: set[str] = set()
        self._guard = threading.Lock()
        self._ending = threading.Event()
        self._beat = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._alive: IO[str] | None = None

    def __enter__(self) -> Leases:
        self._alive = hold_alive(self._folder, self._worker)
        self._beat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._beat.join()
        with self._guard:
            held, self._held = self._held, set()
        if held:
            tried = isinstance(error, DeviceLost)  # what was in hand then may be why
            with contextlib.suppress(LedgerError):  # they run out by themselves
                self._ledger.release(held, worker=self._worker, untried=not tried)
        if self._alive is not None:
            Path(self._alive.name).unlink(missing_ok=True)
            self._alive.close()

    def claim(self, digests: Sequence[str]) -> list[ImageSpec]:
        """Those of `digests` that nobody else has made or holds."""
        specs = self._ledger.claim(digests, worker=self._worker, seconds=self._seconds)
        with self._guard:
            self._held.update(spec.digest for spec in specs)
        return specs

    def give_back(self, digests: Sequence[str]) -> None:
        """Not made after all; anybody may have them now."""
        self.done(digests)
        self._ledger.release(digests, worker=self._worker, untried=True)

    def done(self, digests: Iterable[str]) -> None:
        """Kept or failed: the ledger has freed these itself."""
        with self._guard:
            self._held.difference_update(digests)

    def _renew(self) -> None:
        while not self._ending.wait(self._seconds / 3):
            with self._guard:
                held = set(self._held)
            if not held:
                continue
            try:
                lost = held - self._ledger.renew(held, worker=self._worker, seconds=self._seconds)
            except LedgerError as error:
                log.warning("leases could not be renewed, will try again: %s", error)
                continue
            if lost:
                log.warning("%d leases ran out in hand; whoever is first keeps those images", len(lost))
                self.done(lost)


def free_dead(ledger: Ledger, *, folder: Path) -> int:
    """Releases what dead workers of this machine held; returns how many specs that were."""
    freed = 0
    for file in sorted(folder.glob("*.alive")):
        with file_lock(file) as dead:
            if not dead:
                continue
            worker = file.read_text(encoding="utf-8").strip()
            held = ledger.leased(worker)
            ledger.release(held, worker=worker)
            ledger.release_nights(worker)
            freed += len(held)
            file.unlink(missing_ok=True)
    return freed


def hold_alive(folder: Path, worker: str) -> IO[str]:
    """The file that says that `worker` lives, locked until it is closed or its process is gone."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / f"{worker.replace(':', '-')}.alive").open("a+", encoding="utf-8")
    if not _try_lock(file):
        raise LedgerError(f"{worker} is at work already")
    file.truncate(0)
    file.write(worker)
    file.flush()
    return file


@contextlib.contextmanager
def file_lock(file: Path) -> Iterator[bool]:
    with file.open("a+", encoding="utf-8") as opened:
        yield _try_lock(opened)


def _try_lock(file: IO[str]) -> bool:
    """Held until the file is closed or its process is gone, however it went. The lock is on a file that this module
    has open, since the file says who holds it; filelock's `FileLock` opens and empties the file that it locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
