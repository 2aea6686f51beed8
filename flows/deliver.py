"""Approved images leave under their names, with their sidecars. Doing it again changes nothing."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from tasks.deliver import deliver as deliver_images
from tasks.parts import here, opened


@task(name="deliver", cache_policy=NO_CACHE, persist_result=False)
def deliver_approved(project: str | None) -> list[str]:
    parts = here()
    done = deliver_images(parts.ledger, parts.store, project=project, folder=parts.settings.delivery_folder)
    return list(done.names)


@flow(name="deliver", persist_result=False)
def deliver(project: str | None = None) -> dict[str, Any]:
    """NameCollision, before the first file, when two images would bear one name."""
    with opened():
        return {"names": deliver_approved(project)}
