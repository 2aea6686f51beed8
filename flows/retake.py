"""What reviewers sent back, planned now instead of at the beginning of the next night. It is rendered like the rest."""

from __future__ import annotations

from typing import Any

from prefect import flow

from tasks.night import plan_asked_again
from tasks.parts import get_parts


@flow(name="retake", persist_result=False)
def retake() -> dict[str, Any]:
    with get_parts():
        retakes = plan_asked_again()
        return {"planned": retakes.planned, "refused": retakes.refused}
