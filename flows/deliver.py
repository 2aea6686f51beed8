"""Approved images leave under their names, with their sidecars. Doing it again changes nothing."""

from __future__ import annotations

import logging
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from schemas.errors import DailiesError
from tasks.delivery.deliver import deliver as deliver_images
from tasks.delivery.publish import publish_delivered
from tasks.delivery.signing import Signing
from tasks.parts import current_parts, get_parts

log = logging.getLogger(__name__)


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
    published = publish_delivered(parts.ledger, parts.store, parts.settings.kitsu, project=project)
    for problem in published.problems if published is not None else ():
        log.warning("not published in Kitsu: %s", problem)
    return list(done.names), [*(str(failure) for failure in done.failures), *done.problems]


@flow(name="deliver", persist_result=False)
def deliver(project: str | None = None) -> dict[str, Any]:
    """Everything leaves that can. DailiesError afterwards when something could not, so that the run shows as failed."""
    with get_parts():
        names, failures = deliver_approved(project)
        if failures:
            raise DailiesError("\n".join([f"{len(names)} delivered, {len(failures)} could not be", *failures]))
        return {"names": names}
