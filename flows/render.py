"""One shift on one GPU: batches that need the same weights, one after another, as many as window and budget allow."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from schemas.errors import DeviceLost, LedgerError, LedgerUnavailable, StoreUnavailable
from schemas.logs import about
from schemas.names import count_noun
from tasks.parts import Parts, get_parts
from tasks.retry import retry
from tasks.shift.failure_breaker import ShiftStopped
from tasks.shift.progress import Progress
from tasks.shift.render import ShiftAtWork, render_batch
from tasks.shift.shifts import Shift

log = logging.getLogger(__name__)


@flow(name="render", persist_result=False)
def render(shift: str, night: int, until: datetime | None = None) -> dict[str, Any]:
    """`shift`: key of a Shift in the object store; `until`: no batch starts after it.

    Images it does not get to stay waiting; they are named in the morning by who reads the ledger, and so is how the
    shift ended. Raises ShiftStopped when spec after spec fails alike, DeviceLost when this process must end,
    StoreUnavailable or LedgerUnavailable when an edge stayed away.
    """
    with get_parts() as parts, about(night=night, shift=shift):
        work = Shift.load(retry(lambda: parts.store.get(shift)))
        at_work = ShiftAtWork(parts, night=night, flow_run=flow_run.id)
        outcome, message = "failed", ""
        try:
            outcome = _make(parts, work, at_work, night=night, until=until)
        except ShiftStopped as reason:
            outcome, message = "stopped", str(reason)
            raise
        except (DeviceLost, StoreUnavailable, LedgerUnavailable) as error:
            outcome, message = "lost", _sentence(error)
            raise
        except Exception as error:
            message = _sentence(error)
            raise
        except BaseException:  # told to end: another run makes the rest
            outcome, message = "lost", "its process was told to end"
            raise
        finally:
            _write_end(parts, work, at_work, night=night, outcome=outcome, message=message)
        tally = at_work.tally
        return {
            "ended": outcome,
            "kept": tally.kept,
            "failed": tally.failed,
            "gpu_seconds": round(tally.gpu_seconds, 3),
            "notes": dict(tally.notes),
        }


def _make(parts: Parts, work: Shift, at_work: ShiftAtWork, *, night: int, until: datetime | None) -> str:
    """The shift's outcome: complete, window closed, budget spent."""
    progress = Progress(parts, work.images, description=f"night {night}, {count_noun(work.images, 'image')}")
    at_work.expect([digest for batch in work.batches for digest in batch])
    with progress, at_work():
        for batch, following in zip(work.batches, [*work.batches[1:], ()], strict=True):
            if until is not None and datetime.now(UTC) >= until:
                return "window closed"
            if at_work.budget_spent:
                return "budget spent"
            render_batch(list(batch), list(following))
            progress.advance(len(batch))
    return "complete"


def _write_end(parts: Parts, work: Shift, at_work: ShiftAtWork, *, night: int, outcome: str, message: str) -> None:
    """For the night, which runs elsewhere. Without a ledger nothing is written, and the shift counts as lost."""
    run, notes = flow_run.id, at_work.tally.notes
    if run is None:
        return
    end = partial(parts.ledger.end_shift_run, run, night=night, affinity_key=work.affinity_key)
    try:
        retry(lambda: end(outcome=outcome, message=message, notes=notes))
    except LedgerError as error:
        log.warning("how the shift ended could not be written down: %s", error)


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
