"""Shifts -> flow runs on the workers of a Prefect server, one worker a GPU.

No limit of Prefect's is needed for that: a worker takes one shift at a time. What is on which worker is Prefect's to
say; whether anything of it is alive is the ledger's, by leases and images. So a flow run that Prefect believes to run,
but of which the ledger has seen nothing for a while, is given up, and what it had in hand is made by another.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from flows.dispatch import POLL, ShiftEnd
from flows.server import SAID_EACH, ServerAway, is_cancel_requested, retry_server
from schemas.errors import DailiesError
from tasks.parts import Parts, current_parts
from tasks.shift.shifts import Shift, second_half

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

log = logging.getLogger(__name__)

NIGHT_POOL, GPU_POOL = "dailies", "dailies-gpu"
"""Work pools of the server. Workers are told apart by their pool, whatever they are called."""
RENDER = "render/gpu"
"""Flow and deployment that workers make shifts with."""


class NoWorker(DailiesError):
    """A night has work, and there is nobody to give it to."""


@dataclass
class Night:
    """The shifts of one round: which wait, and which are with the server."""

    parts: Parts
    client: SyncPrefectClient
    night: int
    until: datetime | None
    queue: deque[tuple[str, str]]
    """(key of a Shift in the object store, affinity)"""
    running: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    last_sign: float = field(default_factory=time.monotonic)
    """When the ledger last showed that somebody works."""
    progress: tuple[int, int] = (0, 0)
    said: float = -SAID_EACH

    @property
    def closed(self) -> bool:
        return self.until is not None and datetime.now(UTC) >= self.until

    def send(self, key: str, affinity: str) -> None:
        from prefect.deployments import run_deployment

        parameters = {"shift": key, "night": self.night, "until": self.until and self.until.isoformat()}
        once = str(uuid4())  # an answer that was lost must not make two of it
        run = retry_server(
            "dispatching a shift",
            lambda: run_deployment(RENDER, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=once),
        )
        self.running[run.id] = (key, affinity)

    def steal(self) -> bool:
        """Gives an idle worker what another has not begun yet: the later half of it. False when that is too little."""
        for key, affinity in self.running.values():
            shift = Shift.load(self.parts.store.get(key))
            free = self.parts.ledger.claimable([digest for batch in shift.batches for digest in batch])
            if (half := second_half(shift, free)) is None:
                continue
            data = half.dump()
            stolen = self.parts.store.put_content("shifts", data, extension="json", media_type="application/json")
            if stolen not in {other for other, _ in self.running.values()}:
                self.send(stolen, affinity)
                return True
        return False

    def look(self) -> None:
        """Whether the ledger shows a sign of life."""
        progress = self.parts.ledger.night_progress(self.night)
        if progress != self.progress or self.parts.ledger.in_hand():
            self.progress, self.last_sign = progress, time.monotonic()

    @property
    def silent(self) -> bool:
        given = self.parts.settings
        return time.monotonic() - self.last_sign > given.lease_seconds + given.silence_seconds


def on_workers(shifts: list[tuple[str, str, int]], *, night: int, until: datetime | None) -> Iterator[ShiftEnd]:
    """Never many more flow runs than there are workers, for order's sake; none idle while another has work to share."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        work = Night(current_parts(), client, night, until, deque((key, affinity) for key, affinity, _ in shifts))
        try:
            yield from _work(work)
        except BaseException as error:
            if not isinstance(error, ServerAway):
                _call_off(work)
            raise


def _work(work: Night) -> Iterator[ShiftEnd]:
    while work.queue or work.running:
        # 1. As many as there are workers, and one to follow; then the rest of what others have begun.
        workers = retry_server("counting workers", lambda: list_online_workers(work.client))
        if work.closed:
            work.queue.clear()
        while work.queue and len(work.running) < max(1, workers) + 1:
            work.send(*work.queue.popleft())
        while not work.queue and not work.closed and len(work.running) < workers and work.steal():
            pass
        _wait_for_worker(work, workers)
        # 2. Those that are over. What became of images is the ledger's to say; this is only whether to go on.
        time.sleep(POLL)
        work.look()
        for identity, (_, affinity) in list(work.running.items()):
            state = retry_server("asking for a shift", partial(work.client.read_flow_run, identity)).state
            ended = _ended(work, identity, affinity, state)
            if ended is not None:
                yield ended


def _call_off(work: Night) -> None:
    """The night stops here: what nobody has begun must not be begun later, by day for instance; and when a person
    cancelled the night, what is at work ends too."""
    from prefect.runtime import flow_run
    from prefect.states import Cancelling

    everything = is_cancel_requested(flow_run.id)
    for identity in work.running:
        try:
            state = work.client.read_flow_run(identity).state
            if state is not None and not state.is_final() and (everything or state.is_scheduled()):
                work.client.set_flow_run_state(identity, Cancelling(message="the night ended"))
        except Exception as error:  # httpx's and Prefect's own have no common class
            log.warning("flow run %s could not be called off: %s", identity, type(error).__name__)


def list_online_workers(client: SyncPrefectClient) -> int:
    """Workers of the GPU pool that have been heard of lately."""
    workers = client.read_workers_for_work_pool(GPU_POOL)
    return sum(worker.status is not None and worker.status.value == "ONLINE" for worker in workers)


def _ended(work: Night, identity: UUID, affinity: str, state: State | None) -> ShiftEnd | None:
    """None while it runs, or when it was never taken; what is over is forgotten."""
    if state is None or not state.is_final():
        if state is not None and state.is_scheduled():
            if work.closed:
                del work.running[identity]  # nobody took it; when somebody does, it ends at once
        elif work.silent:
            del work.running[identity]
            _give_up(work.client, identity)
            return ShiftEnd(affinity, crashed="nothing was heard of it any more")
        return None
    del work.running[identity]
    # How it ended is what the run itself wrote down; Prefect's words are only shown.
    end = work.parts.ledger.shift_run(str(identity))
    if end is None:
        return ShiftEnd(affinity, crashed=f"it said nothing of its end; Prefect: {state.message or state.name}")
    if end.outcome == "stopped":
        work.queue = deque(shift for shift in work.queue if shift[1] != affinity)
        return ShiftEnd(affinity, stopped=end.message)
    if end.outcome == "failed":
        return ShiftEnd(affinity, failed=end.message)
    return ShiftEnd(affinity, crashed=end.message if end.outcome == "lost" else "")


def _give_up(client: SyncPrefectClient, identity: UUID) -> None:
    """Nobody holds it any more; Prefect must not count it as running."""
    from prefect.states import Crashed

    gone = Crashed(message="its process is gone")
    retry_server("ending a lost shift", lambda: client.set_flow_run_state(identity, gone, force=True))


def _wait_for_worker(work: Night, workers: int) -> None:
    """Says each minute that no worker is there. NoWorker when the ledger has seen nobody work for too long."""
    silent, allowed = time.monotonic() - work.last_sign, work.parts.settings.worker_wait_seconds
    if not workers and not work.parts.ledger.in_hand() and time.monotonic() - work.said >= SAID_EACH:
        work.said = time.monotonic()
        log.warning(
            "%d shifts wait for a GPU worker since %.0f s, and none is online in the pool %s; start one with: "
            "dailies worker --gpu 0",
            len(work.running) + len(work.queue),
            silent,
            GPU_POOL,
        )
    if silent > allowed:
        there = (
            f"{workers} are online and took no shift"
            if workers
            else "none was online; start one: dailies worker --gpu 0"
        )
        raise NoWorker(f"no GPU worker worked for {allowed} s (worker_wait_seconds), and the night gave up: {there}")
