"""Named points at which this process can be made to die, so that an operator can rehearse a crash.

    DAILIES_KILL_AT=keep.before_record dailies run          # dies there the first time
    DAILIES_KILL_AT=ledger.before_keep:3 dailies run        # the third time

Dies by SIGKILL: no handler, no `finally`, no flush, as with a power cut or the kernel's out-of-memory killer. Without
the variable a point costs one comparison. Running the same command again must go on from there (docs/operations.md).
"""

from __future__ import annotations

import os
import signal
import threading
from functools import cache

VARIABLE = "DAILIES_KILL_AT"

_reached: dict[str, int] = {}
_guard = threading.Lock()


@cache
def _rehearsed() -> tuple[str, int]:
    name, _, nth = os.environ.get(VARIABLE, "").partition(":")
    return name, int(nth or 1)


def failpoint(name: str) -> None:
    """Returns at once, unless this is the point, and the time, that the environment names."""
    wanted, nth = _rehearsed()
    if name != wanted:
        return
    with _guard:
        _reached[name] = _reached.get(name, 0) + 1
        if _reached[name] == nth:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
