"""How much work something is, in calls of functions: the same number on a fast machine, a slow one and a busy one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def count_calls(do: Callable[[], object]) -> int:
    """Calls of Python and of C functions while `do` runs, in this thread."""
    calls = 0

    def count(frame: object, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(before)
    return calls
