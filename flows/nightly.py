"""A night: plan what was submitted and sent back, make it shift by shift, and say in the morning what became of it.

    submitted -> plan -> retakes -> agenda (preflight, budgets, shifts) -> dispatch and wait -> report

Kill it anywhere and run it again: every stage asks the ledger what is left to do, and nothing is done twice.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.runtime import deployment, flow_run

from flows import dispatch
from schemas.errors import DeviceLost
from storage.failpoint import failpoint
from tasks.lease import free_dead
from tasks.night import SPENT, look_ahead, plan_asked_again, plan_submitted
from tasks.parts import Parts, opened
from tasks.renew import renew_waiting
from tasks.report import Morning, announce, totals, write_report
from tasks.window import Window

FRUITLESS = 3
"""Rounds in a row that may pass without one image made or failed, before the night gives up."""


@flow(name="nightly", persist_result=False)
def nightly(by: str = "schedule", windowed: bool = True, night: int | None = None) -> dict[str, Any]:
    """`windowed`: keep to the working window of the settings. `night`: go on with a night whose process had to end.

    Raises DeviceLost when only a new process can go on; the night stays open then.
    """
    with opened() as parts:
        free_dead(parts.ledger, folder=parts.settings.home / "workers")
        morning = Morning(night=night or parts.ledger.start_night(by, flow_run.id))
        failpoint("night.after_start")
        try:
            # 1. What is wanted.
            morning.planned, morning.problems = plan_submitted()
            retakes = plan_asked_again()
            morning.planned += retakes.planned
            morning.refused = retakes.refused
            renewed = renew_waiting()
            morning.problems += renewed.problems
            if renewed.images:
                morning.notes[str(renewed)] += renewed.images
            failpoint("night.after_planning")
            # 2. Make it.
            morning.outcome = _make(parts, morning, _closes(parts) if windowed else None)
            failpoint("night.after_making")
        except DeviceLost:
            raise
        except BaseException as error:
            morning.problems.append(f"the night ended with {type(error).__name__}: {error}")
            write_report(morning)
            raise
        # 3. Say what became of it.
        key = write_report(morning)
        summary = parts.ledger.summary(morning.night)
        return {
            "night": morning.night,
            "outcome": morning.outcome,
            "planned": morning.planned,
            "report": key,
            "trouble": [*morning.stopped, *morning.problems],
            **totals(summary),
        }


def _closes(parts: Parts) -> datetime | None:
    """When this night must have begun its last batch; now, outside the window."""
    if not parts.settings.window:
        return None
    window = Window.parse(parts.settings.window, timezone=parts.settings.timezone)
    return window.closes(datetime.now(UTC)) or datetime.now(UTC)


def _make(parts: Parts, morning: Morning, until: datetime | None) -> str:
    """Rounds of agenda and shifts until nothing is left that may be made; returns the night's outcome."""
    on_server = deployment.id is not None
    make = dispatch.on_workers if on_server else dispatch.here
    stopped: dict[str, str] = {}
    fruitless = 0
    while True:
        # 1. What may be made now.
        agenda = look_ahead(morning.night, stopped)
        morning.waits = agenda.waits
        if until is not None and datetime.now(UTC) >= until and (agenda.shifts or agenda.waits):
            return "window closed"
        if not agenda.shifts:
            if on_server and parts.ledger.in_hand():  # of workers that went away; their leases run out
                time.sleep(dispatch.POLL)
                continue
            break
        parts.tell("wanted", 0, sum(images for *_, images in agenda.shifts))
        # 2. Make it.
        before = parts.ledger.night_progress(morning.night)
        for ended in make(agenda.shifts, night=morning.night, until=until):
            morning.notes.update(ended.notes)
            if ended.stopped:
                stopped[ended.affinity] = ended.stopped
                morning.stopped.append(ended.stopped)
                announce(parts, morning, event="shift stopped", text=f"A shift stopped itself: {ended.stopped}")
            if ended.failed:
                stopped[ended.affinity] = ended.failed
            if ended.failed or ended.crashed:
                morning.problems.append(ended.failed or f"a worker went away: {ended.crashed}")
        # 3. Going on must lead somewhere.
        fruitless = fruitless + 1 if parts.ledger.night_progress(morning.night) == before else 0
        if fruitless >= FRUITLESS:
            morning.problems.append(f"{fruitless} rounds passed without one image; the night gave up")
            return "failed"
    if stopped:
        return "stopped"
    spent = [reason.endswith(SPENT) for reason in agenda.waits.values()]
    if any(spent):
        return "budget spent"
    return "blocked" if spent or morning.problems else "complete"
