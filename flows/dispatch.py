"""Shifts -> flow runs, one after another in this process. On the workers of a Prefect server: flows/on_workers.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.render import render
from schemas.errors import DailiesError, DeviceLost
from tasks.shift.failure_breaker import ShiftStopped

POLL = 3.0
"""Seconds between looks at the flow runs of workers."""


@dataclass(frozen=True)
class ShiftEnd:
    """A shift's flow run is over.

    `stopped`: why it stopped itself. `failed`: an error that trying again tonight would only repeat. `crashed`: its
    process or its worker went away. What the engine noted is in the ledger.
    """

    affinity: str
    stopped: str = ""
    failed: str = ""
    crashed: str = ""


def run_in_process(shifts: list[tuple[str, str, int]], *, night: int, until: datetime | None) -> Iterator[ShiftEnd]:
    """In this process, on its device. Raises DeviceLost, after which this process must not render again."""
    stopped: set[str] = set()
    for key, affinity, _ in shifts:
        if affinity in stopped or (until is not None and datetime.now(UTC) >= until):
            continue
        try:
            render(shift=key, night=night, until=until)
        except ShiftStopped as reason:
            stopped.add(affinity)
            yield ShiftEnd(affinity, stopped=str(reason))
        except DeviceLost:
            raise
        except DailiesError as error:
            yield ShiftEnd(affinity, failed=f"{type(error).__name__}: {error}")
        else:
            yield ShiftEnd(affinity)
