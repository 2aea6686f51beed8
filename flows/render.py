"""One shift on one GPU: batches that need the same weights, one after another, as many as window and budget allow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from tasks.parts import get_parts
from tasks.shift.progress import Progress
from tasks.shift.render import ShiftAtWork, render_batch
from tasks.shift.shifts import Shift


@flow(name="render", persist_result=False)
def render(shift: str, night: int, until: datetime | None = None) -> dict[str, Any]:
    """`shift`: key of a Shift in the object store; `until`: no batch starts after it.

    Images it does not get to stay waiting; they are named in the morning by who reads the ledger. Raises ShiftStopped
    when spec after spec fails alike, DeviceLost when this process must end, StoreUnavailable or LedgerUnavailable when
    an edge stayed away.
    """
    with get_parts() as parts:
        work = Shift.load(parts.store.get(shift))
        at_work = ShiftAtWork(parts, night=night, flow_run=flow_run.id)
        progress = Progress(parts, work.images, description=f"night {night}, {work.images} images")
        ended = "complete"
        with progress, at_work():
            for batch, following in zip(work.batches, [*work.batches[1:], ()], strict=True):
                if until is not None and datetime.now(UTC) >= until:
                    ended = "window closed"
                    break
                if at_work.budget_spent:
                    ended = "budget spent"
                    break
                render_batch(list(batch), list(following))
                progress.advance(len(batch))
        tally = at_work.tally
        return {
            "ended": ended,
            "kept": tally.kept,
            "failed": tally.failed,
            "gpu_seconds": round(tally.gpu_seconds, 3),
            "notes": dict(tally.notes),
        }
