"""A night on this machine with nothing to start: the same flows, Prefect's embedded API, a progress bar.

When the device is lost the process has to end, since nothing in it can use the device again; it becomes a new process
that goes on with the same night.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows.embedded import hide_server_output, start_orchestration
from schemas.errors import DeviceLost
from schemas.logs import start_logs
from schemas.settings import Settings
from tasks.parts import Parts, open_parts, use_parts
from tasks.planning.retake import list_unanswered
from tasks.shift.leases import free_dead

NIGHT, FRUITLESS = "DAILIES_NIGHT", "DAILIES_FRUITLESS"
"""What the next process is told: the night's number, and `times:progress` of processes that came to nothing."""


def run_night(settings: Settings, *, by: str, windowed: bool, console: Console | None = None) -> dict[str, Any] | None:
    """What `nightly` returns; None when there was nothing to do. Does not return after a lost device."""
    console = console or Console(stderr=True)
    parts = open_parts(settings)
    free_dead(parts.ledger, folder=settings.home / "workers")
    night = os.environ.pop(NIGHT, None)
    if night is None and not has_work(parts):
        return None
    try:
        with start_orchestration(settings.home) as api, _watching(parts, console), use_parts(parts):
            # Torch and diffusers take as long to import as the API to boot.
            from flows.nightly import nightly

            _ = parts.engine
            if api is None:
                return nightly(by=by, windowed=windowed, night=int(night) if night else None)
            api.wait()
            with hide_server_output():
                return nightly(by=by, windowed=windowed, night=int(night) if night else None)
    except DeviceLost as lost:
        console.print(str(lost), style="red")
        _respawn(parts, lost, console)
        raise


def has_work(parts: Parts) -> bool:
    ledger = parts.ledger
    return bool(ledger.unplanned() or list_unanswered(parts) or ledger.waiting(limit=1) or ledger.outdated(limit=1))


def _respawn(parts: Parts, lost: DeviceLost, console: Console) -> None:
    """Becomes a new process that goes on with the night. Returns, the night having failed, when that leads nowhere:
    by then a spec that poisons the device was set aside, so it is the device."""
    from tasks.night import LOST
    from tasks.report import Morning, add_totals, announce_report

    night = parts.ledger.nights(limit=1)[0].id
    progress = "{}-{}".format(*parts.ledger.night_progress(night))
    times, _, before = os.environ.get(FRUITLESS, "0:").partition(":")
    fruitless = int(times) + 1 if progress == before else 0
    if fruitless > LOST * parts.settings.max_attempts:
        summary = parts.ledger.summary(night)
        parts.ledger.end_night(night, outcome="failed", report_key=None, totals=add_totals(summary))
        announce_report(parts, Morning(night, problems=[str(lost)]), event="night failed", summary=summary)
        return
    console.print(f"going on with night {night} in a new process")
    os.environ.update({NIGHT: str(night), FRUITLESS: f"{fruitless}:{progress}"})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "flows", *sys.argv[1:]])


@contextmanager
def _watching(parts: Parts, console: Console) -> Iterator[None]:
    """A bar for the night's images, with the step of the batch that is on the device; nothing without a terminal."""
    lines = RichHandler(console=console, show_time=False, show_path=False)
    start_logs(parts.settings.log_format, text=lines, level=logging.WARNING)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        images = bar.add_task("images", total=None)

        def told(what: str, done: int, total: int) -> None:
            if what == "wanted":
                bar.update(images, total=bar.tasks[images].completed + total)
            elif what == "made":
                bar.update(images, advance=done, description="images")
            elif what == "step":
                bar.update(images, description=f"images (step {done} of {total})")

        parts.told = told
        try:
            yield
        finally:
            parts.told = None
