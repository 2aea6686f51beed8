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

from flows.embedded import orchestration, unwatched
from schemas.errors import DeviceLost
from schemas.settings import Settings
from tasks.lease import free_dead
from tasks.parts import Parts, open_parts, using
from tasks.retake import unanswered

RESPAWNS = "DAILIES_RESPAWNS"
NIGHT = "DAILIES_NIGHT"
MOST_RESPAWNS = 20
"""New processes in one night. Each loss also counts against the specs in hand: a poisonous one is set aside first."""


def run_night(settings: Settings, *, by: str, windowed: bool, console: Console | None = None) -> dict[str, Any] | None:
    """What `nightly` returns; None when there was nothing to do. Does not return after a lost device."""
    console = console or Console(stderr=True)
    parts = open_parts(settings)
    free_dead(parts.ledger, folder=settings.home / "workers")
    if not anything_to_do(parts):
        return None
    night = os.environ.pop(NIGHT, None)
    try:
        with orchestration(settings.home) as api, _watching(parts, console), using(parts):
            # Torch and diffusers take as long to import as the API to boot.
            from flows.nightly import nightly

            _ = parts.engine
            if api is None:
                return nightly(by=by, windowed=windowed, night=int(night) if night else None)
            api.wait()
            with unwatched():
                return nightly(by=by, windowed=windowed, night=int(night) if night else None)
    except DeviceLost as lost:
        console.print(f"[red]{lost}[/red]")
        _respawn(parts, console)
        raise


def anything_to_do(parts: Parts) -> bool:
    ledger = parts.ledger
    return bool(ledger.unplanned() or unanswered(parts) or ledger.waiting(limit=1))


def _respawn(parts: Parts, console: Console) -> None:
    """Becomes a new process that goes on with the night; returns only when that has been done too often."""
    times = int(os.environ.get(RESPAWNS, "0")) + 1
    night = parts.ledger.nights(limit=1)[0]
    if times > MOST_RESPAWNS or night.ended_at is not None:
        return
    console.print(f"going on with night {night.id} in a new process")
    os.environ.update({RESPAWNS: str(times), NIGHT: str(night.id)})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "flows", *sys.argv[1:]])


@contextmanager
def _watching(parts: Parts, console: Console) -> Iterator[None]:
    """A bar for the night's images, with the step of the batch that is on the device; nothing without a terminal."""
    logging.basicConfig(
        level=logging.WARNING,
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
        format="%(message)s",
    )
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
