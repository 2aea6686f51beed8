"""A night: plan what was submitted and sent back, make it shift by shift, and say in the morning what became of it.

    submitted -> plan -> retakes -> agenda (preflight, budgets, shifts) -> dispatch and wait -> report

Kill it anywhere and run it again: every stage asks the ledger what is left to do, and nothing is done twice. One night
runs at a time, by a lease in the ledger. A night whose process is gone goes on in another one (flows/worker.py),
or the next night closes it with a report.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.runtime import deployment, flow_run

from flows import dispatch
from flows.on_workers import on_workers
from flows.server import ServerAway, is_cancel_requested
from schemas.errors import DeviceLost, LedgerUnavailable, NightRunning, StoreUnavailable
from schemas.logs import about
from storage.failpoint import failpoint
from tasks.learned_order import learn_waiting_order
from tasks.night import look_ahead, plan_asked_again, plan_submitted
from tasks.night_lease import NightLease
from tasks.parts import Parts, get_parts
from tasks.planning.renew import renew_waiting
from tasks.report import Morning, add_totals, announce_report, close_dead_nights, write_report
from tasks.shift.leases import free_dead
from tasks.window import Window

FRUITLESS = 3
"""Rounds in a row that may pass without one image made or failed, before the night gives up."""


@flow(name="nightly", persist_result=False)
def nightly(by: str = "schedule", windowed: bool = True, night: int | None = None) -> dict[str, Any]:
    """`windowed`: keep to the working window of the settings. `night`: go on with a night whose process is gone.

    When another process runs a night already, that is all that is said. Raises DeviceLost when only a new process can
    go on; the night stays open then, as it does when the ledger, the store or Prefect's server is away, or when
    Prefect ended the flow run and no person asked for it.
    """
    with get_parts() as parts, ExitStack() as stack:
        free_dead(parts.ledger, folder=parts.settings.home / "workers")
        try:
            lease = stack.enter_context(NightLease(parts, by=by, flow_run=flow_run.id, night=night))
        except NightRunning as running:
            return {"night": None, "outcome": "running", "trouble": [str(running)]}
        stack.enter_context(about(night=lease.night))
        return _run(parts, lease, windowed=windowed)


def _run(parts: Parts, lease: NightLease, *, windowed: bool) -> dict[str, Any]:
    morning = Morning(night=lease.night)
    failpoint("night.after_start")
    try:
        close_dead_nights(parts, but=morning.night)
        morning.outcome = _make(parts, morning, lease, _closes(parts) if windowed else None)
        failpoint("night.after_making")
        _learn(morning)
        _index(parts, morning)
    except (DeviceLost, NightRunning):
        raise
    except BaseException as error:
        if deployment.id is not None and _goes_on(error):
            raise
        morning.problems.append(f"the night ended with {type(error).__name__}: {error}")
        write_report(morning)
        raise
    key = write_report(morning)
    summary = parts.ledger.summary(morning.night)
    return {
        "night": morning.night,
        "outcome": morning.outcome,
        "planned": morning.planned,
        "report": key,
        "trouble": [*morning.stopped, *morning.problems],
        **add_totals(summary),
    }


def _learn(morning: Morning) -> None:
    """The order of the inbox; whatever goes wrong with it, it stays as it was, and the night is no worse."""
    try:
        learn_waiting_order()
    except (LedgerUnavailable, StoreUnavailable):
        raise
    except Exception as error:
        morning.problems.append(f"the inbox keeps its order, since learning failed: {type(error).__name__}: {error}")


def _index(parts: Parts, morning: Morning) -> None:
    """PostgreSQL's index of what images are like, where it is missing; the Library finds the same without it."""
    try:
        parts.ledger.index_vectors()
    except LedgerUnavailable:
        raise
    except Exception as error:
        morning.problems.append(f"likeness is searched without an index: {type(error).__name__}: {error}")


def _goes_on(error: BaseException) -> bool:
    """Whether another process is to go on with the night: what ended this one is no fault of the night's."""
    if isinstance(error, Exception):
        return isinstance(error, (LedgerUnavailable, StoreUnavailable, ServerAway))
    return not is_cancel_requested(flow_run.id)  # SIGTERM, or a cancellation within Prefect


def _closes(parts: Parts) -> datetime | None:
    """When this night must have begun its last batch; now, outside the window."""
    if not parts.settings.window:
        return None
    window = Window.parse(parts.settings.window, timezone=parts.settings.timezone)
    return window.closes(datetime.now(UTC)) or datetime.now(UTC)


def _plan(morning: Morning) -> None:
    planned, problems = plan_submitted()
    retakes = plan_asked_again()
    renewed = renew_waiting()
    morning.planned += planned + retakes.planned
    morning.refused += retakes.refused
    morning.problems += [problem for problem in (*problems, *renewed.problems) if problem not in morning.problems]
    if renewed.images:
        morning.notes[str(renewed)] += renewed.images
    failpoint("night.after_planning")


def _stopped_before(parts: Parts, morning: Morning) -> dict[str, str]:
    """Affinity -> why no more of it is made tonight, of a night that another process began; its report says so too."""
    stopped = {}
    for run in parts.ledger.shift_runs(morning.night):
        if run.outcome in ("stopped", "failed"):
            stopped[run.affinity_key] = run.message
            (morning.stopped if run.outcome == "stopped" else morning.problems).append(run.message)
    return stopped


def _make(parts: Parts, morning: Morning, lease: NightLease, until: datetime | None) -> str:
    """Rounds of plan, agenda and shifts until nothing is left that may be made; returns the night's outcome."""
    on_server = deployment.id is not None
    stopped = _stopped_before(parts, morning)
    fruitless = 0
    waits = False
    while True:
        # 1. What is wanted, and what of it may be made now. What is submitted during the night is made in it.
        lease.check()
        if not waits:
            _plan(morning)
        agenda = look_ahead(morning.night, stopped)
        morning.waits = agenda.waits
        if until is not None and datetime.now(UTC) >= until and (agenda.shifts or agenda.waits):
            return "window closed"
        if not agenda.shifts:
            if on_server and parts.ledger.in_hand():  # of workers that went away; their leases run out
                waits = True
                time.sleep(dispatch.POLL)
                continue
            break
        waits = False
        parts.tell("wanted", 0, sum(images for *_, images in agenda.shifts))
        # 2. Make it.
        before = parts.ledger.night_progress(morning.night)
        make = on_workers if on_server else dispatch.run_in_process
        for ended in make(agenda.shifts, night=morning.night, until=until):
            lease.check()
            if ended.stopped:
                stopped[ended.affinity] = ended.stopped
                morning.stopped.append(ended.stopped)
                announce_report(parts, morning, event="shift stopped", text=f"A shift stopped itself: {ended.stopped}")
            if ended.failed:
                stopped[ended.affinity] = ended.failed
                morning.problems.append(ended.failed)
            if ended.crashed:  # what it had in hand is made again, so this alone is no problem of the night
                morning.recovered.append(f"a worker went away: {ended.crashed}")
        # 3. Going on must lead somewhere.
        fruitless = fruitless + 1 if parts.ledger.night_progress(morning.night) == before else 0
        if fruitless >= FRUITLESS:
            morning.problems.append(f"{fruitless} rounds passed without one image; the night gave up")
            return "failed"
    if stopped:
        return "stopped"
    if agenda.over_budget:
        return "budget spent"
    return "blocked" if agenda.waits or morning.problems else "complete"
