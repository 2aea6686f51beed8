"""`dailies worker`: Prefect's worker, started again when it ends; the one for nights also looks after dead nights.

Prefect's worker gives up when its server is away for some minutes. And when a night's process is gone (it was killed,
or Prefect ended its flow run), nobody would start another until the next evening; so the worker for nights asks the
ledger each half minute, and the server for a flow run that goes on with that night.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

from flows.on_workers import GPU_POOL, NIGHT_POOL
from schemas.errors import DailiesError, SettingsError
from schemas.logs import PREFECT_AS_JSON, start_logs
from schemas.records import Night
from schemas.settings import Settings
from tasks.parts import Parts, open_parts
from tasks.shift.leases import free_dead

log = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between two looks at the ledger."""
PAUSE = 5.0
"""Seconds before Prefect's worker is started again."""
RECENT = timedelta(hours=12)
"""A night that died longer ago is closed by the next one."""
FRUITLESS = 5
"""Times in a row that a night is gone on with without one image or failure more, before it is left to the next one."""


def work(settings: Settings, *, gpu: str | None, name: str = "") -> int:
    """Takes work from the pool of shifts, on this GPU, or from the pool of nights. Returns when it is told to end."""
    if not os.environ.get("PREFECT_API_URL"):
        raise SettingsError("PREFECT_API_URL is not set; a worker takes its work from a Prefect server")
    start_logs(settings.log_format)
    kind = "nights" if gpu is None else f"gpu{gpu}"
    arguments = ["worker", "start", "--pool", NIGHT_POOL if gpu is None else GPU_POOL, "--type", "process"]
    arguments += ["--name", name or f"{socket.gethostname()} {kind}"]
    arguments += [] if gpu is None else ["--limit", "1"]
    environment = {
        **os.environ,
        "DAILIES_FOLDER": os.getcwd(),
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "DO_NOT_TRACK": "1",
        **(PREFECT_AS_JSON if settings.log_format == "json" else {}),
    }
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    watch = DeadNights(settings) if gpu is None else None
    return _supervise([sys.executable, "-m", "prefect", *arguments], environment, watch)


def _supervise(command: list[str], environment: dict[str, str], watch: DeadNights | None) -> int:
    child = subprocess.Popen(command, env=environment)
    ending = False

    def end(number: int, _: FrameType | None) -> None:
        nonlocal ending
        ending = True
        child.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while True:
        try:
            code = child.wait(timeout=LOOK)
        except subprocess.TimeoutExpired:
            if watch is not None and not ending:
                watch.look()
            continue
        if ending:
            return 0
        log.warning("Prefect's worker ended with %d; it is started again in %.0f s", code, PAUSE)
        time.sleep(PAUSE)
        if ending:
            return 0
        child = subprocess.Popen(command, env=environment)


class DeadNights:
    """Nights that have not ended and that no process runs: asks the server for a flow run that goes on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parts: Parts | None = None
        self._asked: dict[int, tuple[tuple[int, int], int]] = {}
        """night -> its progress when it was last asked for, and how often in a row with that"""

    def look(self) -> None:
        """Whatever goes wrong is a line in the log, and tried again."""
        try:
            self._parts = self._parts or open_parts(self._settings)
            ledger = self._parts.ledger
            free_dead(ledger, folder=self._settings.home / "workers")
            if ledger.running_night() is not None:
                return
            for night in ledger.dead_nights()[-1:]:
                if night.held_until is not None and datetime.now(UTC) - night.held_until < RECENT:
                    self._go_on(night, ledger.night_progress(night.id))
        except DailiesError as error:
            log.warning("dead nights are not looked for now: %s", error)
        except Exception as error:  # httpx's and Prefect's own have no common class
            log.warning("Prefect's server cannot be asked to go on with a night now: %s", type(error).__name__)

    def _go_on(self, night: Night, progress: tuple[int, int]) -> None:
        from prefect.deployments import run_deployment

        before, times = self._asked.get(night.id, (progress, 0))
        times = times + 1 if progress == before else 1
        if times > FRUITLESS:
            return
        # The same death asked about twice, or by two workers, gives one flow run.
        once = f"night-{night.id}-{night.held_until}-{times}"
        parameters: dict[str, Any] = {"by": night.started_by, "night": night.id}
        parameters["windowed"] = night.started_by == "schedule"
        run = run_deployment(
            "nightly/nightly", parameters=parameters, timeout=0, as_subflow=False, idempotency_key=once
        )
        self._asked[night.id] = (progress, times)
        log.warning("night %d has lost its process; flow run %s goes on with it", night.id, run.name)
