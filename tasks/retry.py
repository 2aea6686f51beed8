"""Waiting out an edge that is away for a moment: a database that restarts, a store that answers 503."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import LedgerUnavailable, StoreUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

WAITS = (1.0, 5.0, 20.0)
"""Seconds before each further try."""


def retry(act: Callable[[], T]) -> T:
    """`act` must be safe to repeat. Raises what the last try raised; any other error at once."""
    for wait in WAITS:
        try:
            return act()
        except (LedgerUnavailable, StoreUnavailable) as error:
            log.warning("trying again in %.0f s: %s", wait, error)
            time.sleep(wait)
    return act()
