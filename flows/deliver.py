"""Approved images leave under their names, with their sidecars. Doing it again changes nothing."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from schemas.errors import DailiesError
from tasks.delivery.deliver import deliver as deliver_images
from tasks.delivery.signing import Signing
from tasks.parts import current_parts, get_parts


@task(name="deliver", cache_policy=NO_CACHE, persist_result=False)
def deliver_approved(project: str | None) -> tuple[list[str], list[str]]:
    parts = current_parts()
    done = deliver_images(
        parts.ledger,
        parts.store,
        project=project,
        folder=parts.settings.delivery_folder,
        signing=Signing.from_settings(parts.settings),
        catalogue=parts.catalogue,
    )
    return list(done.names), [*(str(failure) for failure in done.failures), *done.problems]


@flow(name="deliver", persist_result=False)
def deliver(project: str | None = None) -> dict[str, Any]:
    """Everything leaves that can. DailiesError afterwards when something could not, so that the run shows as failed."""
    with get_parts():
        names, failures = deliver_approved(project)
        if failures:
            raise DailiesError("\n".join([f"{len(names)} delivered, {len(failures)} could not be", *failures]))
        return {"names": names}
