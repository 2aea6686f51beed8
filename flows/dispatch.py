"""Shifts -> flow runs: one after another in this process, or on the workers of a Prefect server."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flows.render import render
from schemas.errors import DailiesError, DeviceLost
from tasks.streak import ShiftStopped

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger(__name__)

POOL = "dailies"
GPU_QUEUE, NIGHT_QUEUE = "gpu", "night"
RENDER = "render/gpu"
"""Flow and deployment that workers make shifts with."""

POLL = 3.0
"""Seconds between looks at the flow runs of workers."""


@dataclass(frozen=True)
class Ended:
    """A shift's flow run is over.

    `stopped`: why it stopped itself. `failed`: an error that trying again tonight would only repeat. `crashed`: its
    process or its worker went away. `notes`: what the engine said, and of how many images.
    """

    affinity: str
    stopped: str = ""
    failed: str = ""
    crashed: str = ""
    notes: dict[str, int] = field(default_factory=dict)


def here(shifts: list[tuple[str, str, int]], *, night: int, until: datetime | None) -> Iterator[Ended]:
    """In this process, on its device. Raises DeviceLost, after which this process must not render again."""
    stopped: set[str] = set()
    for key, affinity, _ in shifts:
        if affinity in stopped or (until is not None and datetime.now(UTC) >= until):
            continue
        try:
            done = render(shift=key, night=night, until=until)
        except ShiftStopped as reason:
            stopped.add(affinity)
            yield Ended(affinity, stopped=str(reason))
        except DeviceLost:
            raise
        except DailiesError as error:
            yield Ended(affinity, failed=f"{type(error).__name__}: {error}")
        else:
            yield Ended(affinity, notes=done["notes"])


def on_workers(shifts: list[tuple[str, str, int]], *, night: int, until: datetime | None) -> Iterator[Ended]:
    """On the workers of the server's pool; never many more flow runs than there are workers, for order's sake."""
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment

    queue = deque(shifts)
    running: dict[UUID, str] = {}
    warned = False
    with get_client(sync_client=True) as client:
        while queue or running:
            # 1. As many as there are workers, and one to follow.
            workers = _online(client)
            if queue and not workers and not warned:
                log.warning("no worker is online in the queue %s; start one with: dailies worker --gpu 0", GPU_QUEUE)
                warned = True
            if until is not None and datetime.now(UTC) >= until:
                queue.clear()
            while queue and len(running) < max(1, workers) + 1:
                key, affinity, _ = queue.popleft()
                parameters = {"shift": key, "night": night, "until": until and until.isoformat()}
                run = run_deployment(RENDER, parameters=parameters, timeout=0, as_subflow=True)
                running[run.id] = affinity
            # 2. Those that are over. What became of images is the ledger's to say; this is only whether to go on.
            time.sleep(POLL)
            for identity, affinity in list(running.items()):
                state = client.read_flow_run(identity).state
                if state is None or not state.is_final():
                    if until is not None and state is not None and state.is_scheduled() and datetime.now(UTC) >= until:
                        del running[identity]  # nobody took it; when somebody does, it ends at once
                    continue
                del running[identity]
                message = state.message or state.name
                if state.is_completed():
                    yield Ended(affinity)
                elif "ShiftStopped" in message:
                    queue = deque(shift for shift in queue if shift[1] != affinity)
                    yield Ended(affinity, stopped=message.split("ShiftStopped:", 1)[-1].strip())
                elif state.is_failed() and "DeviceLost" not in message:
                    yield Ended(affinity, failed=message)
                else:
                    yield Ended(affinity, crashed=message)


def _online(client: SyncPrefectClient) -> int:
    """GPU workers that have been heard of lately."""
    workers = client.read_workers_for_work_pool(POOL)
    return sum(
        worker.status is not None and worker.status.value == "ONLINE" and "gpu" in worker.name for worker in workers
    )
