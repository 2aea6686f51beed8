"""The Prefect server as a night sees it: it may be away for a while, and what it says of a flow run may be wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import DailiesError

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 1800.0
"""Seconds that a night waits for a server that does not answer; its leases and images do not need it."""
SAID_EACH = 60.0
"""Seconds between two lines about something that is waited for."""


class ServerAway(DailiesError):
    """Prefect's server did not answer for so long that the night gave up. Its ledger is whole; it goes on later."""


def retry_server(what: str, act: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """`act` asks the server, and must be safe to repeat. ServerAway when it stays away; other errors at once."""
    import httpx

    began = said = time.monotonic()
    pause = 1.0
    while True:
        try:
            return act()
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 503
            if status < 500 and status not in (408, 429):
                raise
            waited = time.monotonic() - began
            if waited > patience:
                raise ServerAway(
                    f"{what}: Prefect's server did not answer for {waited / 60:.0f} minutes ({type(error).__name__})"
                ) from error
            if pause == 1.0 or time.monotonic() - said >= SAID_EACH:
                said = time.monotonic()
                log.warning("%s: Prefect's server does not answer since %.0f s; waiting for it", what, waited)
            time.sleep(pause)
            pause = min(2 * pause, 10.0)


def is_cancel_requested(flow_run: str | None) -> bool:
    """Whether somebody cancelled this flow run in Prefect. False when the server cannot be asked."""
    if flow_run is None:
        return False
    from uuid import UUID

    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run)).state
    except Exception as error:
        log.warning("whether this flow run was cancelled cannot be asked now: %s", type(error).__name__)
        return False
    return state is not None and state.type.value in ("CANCELLED", "CANCELLING")
