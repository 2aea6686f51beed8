"""The stages of a night before its shifts, as Prefect tasks: plan, retakes, what may be made next. Ids in and out."""

from __future__ import annotations

from dataclasses import dataclass, field

from prefect import task
from prefect.cache_policies import NO_CACHE

from schemas.errors import DailiesError, LedgerUnavailable, StoreUnavailable
from schemas.pace import make_pace_key
from schemas.spec import ImageSpec
from storage.failpoint import failpoint
from tasks.parts import current_parts
from tasks.planning.estimate import predict_seconds, predict_times
from tasks.planning.preflight import find_obstacles
from tasks.planning.retake import Retakes, plan_retakes
from tasks.planning.submit import plan_submission
from tasks.shift.render import spent_so_far
from tasks.shift.shifts import make_shifts

LOST = 2
"""A spec may lose this many times `max_attempts` leases with nothing said before it is set aside."""


@dataclass
class Agenda:
    """What may be made next. `shifts`: (key in the object store, affinity, images), most urgent first."""

    shifts: list[tuple[str, str, int]] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    """spec digest -> why it waits"""
    over_budget: set[str] = field(default_factory=set)
    """Those of `waits` for which the budget has no more"""


@task(name="plan", cache_policy=NO_CACHE, persist_result=False)
def plan_submitted() -> tuple[int, list[str]]:
    """Plans whatever was submitted; returns how many new specs that gave, and what went wrong, by submission.

    A submission that cannot be planned (its model is missing) holds up no other, and is tried again next night.
    """
    parts = current_parts()
    new, problems = 0, []
    for submission in parts.ledger.unplanned():
        failpoint("plan.before")
        try:
            new += plan_submission(parts.ledger, parts.catalogue, submission.digest).new
        except (LedgerUnavailable, StoreUnavailable):
            raise
        except (DailiesError, KeyError, ValueError) as error:
            problems.append(f"{submission.name} of {submission.submitted_by} could not be planned: {error}")
        failpoint("plan.after")
    return new, problems


@task(name="retakes", cache_policy=NO_CACHE, persist_result=False)
def plan_asked_again() -> Retakes:
    """Answers the decisions that ask for another image."""
    return plan_retakes(current_parts())


@task(name="agenda", cache_policy=NO_CACHE, persist_result=False)
def look_ahead(night: int, stopped: dict[str, str], loaded: str = "") -> Agenda:
    """What is waiting -> what may be made, in shifts; and for everything else the reason why it waits.

    `stopped`: affinity -> why no more of it is made tonight.
    """
    parts = current_parts()
    settings, ledger = parts.settings, parts.ledger
    agenda = Agenda()
    # 1. A spec that takes process after process with it leaves no failure behind, only leases: set it aside.
    waiting = []
    for item in ledger.waiting():
        if item.attempts >= LOST * settings.max_attempts:
            ledger.fail(
                item.digest,
                cause="WorkerLost",
                message=f"{item.asset}: {item.attempts} times a worker took it, and none of them came back",
                worker=parts.worker,
                night=night,
                max_attempts=1,
            )
        elif item.affinity_key in stopped:
            agenda.waits[item.digest] = f"its shift was stopped: {stopped[item.affinity_key]}"
        else:
            waiting.append(item)
    # 2. What cannot be made because something is missing.
    specs: dict[str, ImageSpec] = ledger.specs([item.digest for item in waiting])
    missing = find_obstacles(
        specs.values(), catalogue=parts.catalogue, store=parts.store, condition_models=settings.condition_models
    )
    agenda.waits |= missing
    waiting = [item for item in waiting if item.digest not in missing]
    # 3. What the budgets allow, most urgent first; the shifts' own order says what that is.
    order = {
        digest: place
        for place, digest in enumerate(
            digest
            for shift in make_shifts(waiting, batch_size=settings.batch_size, loaded=loaded)
            for batch in shift.batches
            for digest in batch
        )
    }
    pace = ledger.pace()
    known = {key[0] for key in pace}
    wanted = []
    for item in sorted(waiting, key=lambda item: order[item.digest]):
        spec = specs[item.digest]
        seconds = predict_seconds(make_pace_key(spec), pace, rows=predict_times(spec))[0]
        wanted.append((item.digest, item.project, seconds if spec.is_imported or spec.model.alias in known else None))
    fits, dear = spent_so_far(parts, night=night).choose(wanted)
    agenda.waits |= {digest: f"{reason} is spent" for digest, reason in dear.items()}
    agenda.over_budget = set(dear)
    # 4. Shifts, kept where any worker can read them.
    chosen = set(fits)
    affordable = [item for item in waiting if item.digest in chosen]
    for shift in make_shifts(affordable, batch_size=settings.batch_size, loaded=loaded):
        key = parts.store.put_content("shifts", shift.dump(), extension="json", media_type="application/json")
        agenda.shifts.append((key, shift.affinity_key, shift.images))
    return agenda
