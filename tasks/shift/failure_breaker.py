"""The same error on spec after spec is a setting, not bad luck: then a shift stops, instead of failing all night."""

from __future__ import annotations

import re
import threading

from schemas.errors import DailiesError, RenderError

_VENDOR = re.compile(r"([A-Z]\w*(?:Error|Exception|Interrupt|Warning))\b")


class ShiftStopped(DailiesError):
    """A shift ended itself. The message says after what."""


def find_cause(error: BaseException) -> str:
    """What failures are grouped by: the class; for an error that came from a library, that library's class."""
    name = type(error).__name__
    if type(error) is RenderError and (vendor := _VENDOR.match(str(error))):
        return vendor[1]
    return name


class FailureBreaker:
    """Counts specs in a row that failed alike. Told from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._cause, self._count, self._last = "", 0, ""
        self._stopped = ""

    def note(self, error: BaseException | None) -> None:
        """The outcome of one more spec; None is success."""
        with self._guard:
            cause = find_cause(error) if error is not None else ""
            self._count = self._count + 1 if cause and cause == self._cause else int(bool(cause))
            self._cause, self._last = cause, str(error)
            if self._count >= self._limit and not self._stopped:
                self._stopped = f"{self._count} specs in a row failed with {cause}; the last said: {self._last}"

    def check(self) -> None:
        """Raises ShiftStopped once the limit was reached."""
        if self._stopped:
            raise ShiftStopped(self._stopped)
