"""The lease on a night for as long as its process lives: one night at a time, and a dead one is noticed.

On the machine where a night's process died the next one knows at once, by the lock on its file (tasks/shift/leases.py);
elsewhere when the lease has run out.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from schemas.errors import LedgerError, NightRunning
from tasks.shift.leases import hold_alive

if TYPE_CHECKING:
    from tasks.parts import Parts

log = logging.getLogger(__name__)


class NightLease:
    """A context that starts a night, or goes on with `night`; NightRunning while another process runs one."""

    def __init__(self, parts: Parts, *, by: str, flow_run: str | None, night: int | None = None) -> None:
        self._ledger, self._seconds = parts.ledger, parts.settings.lease_seconds
        self._folder = parts.settings.home / "workers"
        self._holder = f"{parts.worker}:night"
        self._by, self._flow_run, self._night = by, flow_run, night
        self._ending, self._lost = threading.Event(), threading.Event()
        self._beat = threading.Thread(target=self._renew, name="night", daemon=True)
        self._alive: IO[str] | None = None
        self.night = 0

    def __enter__(self) -> NightLease:
        self._alive = hold_alive(self._folder, self._holder)
        try:
            if self._night is None:
                self.night = self._ledger.start_night(
                    self._by, self._flow_run, holder=self._holder, seconds=self._seconds
                )
            else:
                self._ledger.take_night(self._night, holder=self._holder, seconds=self._seconds)
                self.night = self._night
        except BaseException:
            self._forget()
            raise
        self._beat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._beat.join()
        with contextlib.suppress(LedgerError):  # it runs out by itself
            self._ledger.release_nights(self._holder)
        self._forget()

    def check(self) -> None:
        """NightRunning when another process has gone on with this night: this one was thought dead."""
        if self._lost.is_set():
            raise NightRunning(f"night {self.night} was taken over by another process while this one stood still")

    def _renew(self) -> None:
        while not self._ending.wait(self._seconds / 3):
            try:
                if not self._ledger.renew_night(self.night, holder=self._holder, seconds=self._seconds):
                    self._lost.set()
                    return
            except LedgerError as error:
                log.warning("the night's lease could not be renewed, will try again: %s", error)

    def _forget(self) -> None:
        if self._alive is not None:
            Path(self._alive.name).unlink(missing_ok=True)
            self._alive.close()
            self._alive = None
