"""When the Prefect server will start the next night, as the server itself says it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from schemas.errors import DailiesError
from schemas.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PATIENCE = 90.0
"""Seconds until the server must have scheduled a run. Its scheduler looks for new deployments every 5 s, for all every
60 s."""

LATE = timedelta(minutes=2)
"""A run that is this much over its time and not taken waits for a worker."""


@dataclass(frozen=True)
class ScheduledNight:
    at: datetime
    flow_run: str

    @property
    def late(self) -> bool:
        return datetime.now(UTC) - self.at > LATE


def next_night(client: SyncPrefectClient) -> ScheduledNight | None:
    """The first run of nightly/nightly that the server made by its schedule and nobody has taken yet."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["nightly"])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=50,
    )
    for run in runs:
        if run.auto_scheduled and run.expected_start_time is not None:
            return ScheduledNight(run.expected_start_time.astimezone(UTC), run.name)
    return None


def wait_for_schedule(client: SyncPrefectClient, settings: Settings) -> str:
    """Until the server has a run of the nightly schedule. DailiesError when it makes none."""
    deadline = time.monotonic() + PATIENCE
    while (night := next_night(client)) is None:
        if time.monotonic() > deadline:
            raise DailiesError(
                f"the Prefect server scheduled no night within {PATIENCE:.0f} s, so none would start by itself. Look "
                "for errors of its scheduler in the server's log; it must run with the versions of constraints.txt "
                "(SQLAlchemy 2.0: with 2.1 Prefect 3.8 schedules nothing)"
            )
        time.sleep(1.0)
    return f"next night: {local_time(night.at, settings)} (flow run {night.flow_run})"


def schedule_line(settings: Settings) -> str:
    """For `dailies status`: when the next night is, or a warning."""
    if not os.environ.get("PREFECT_API_URL"):
        return "next night: when cron or a person starts `dailies night`; there is no Prefect server (PREFECT_API_URL)"
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            night = next_night(client)
    except Exception as error:  # httpx's and Prefect's own have no common class
        return f"WARNING: the Prefect server does not answer ({type(error).__name__}), so no night will start"
    if night is None:
        return "WARNING: no night is scheduled on the Prefect server; run `dailies deploy`"
    if night.late:
        return (
            f"WARNING: the night of {local_time(night.at, settings)} has not begun; is a worker for nights running? "
            "Start one with `dailies worker`"
        )
    return f"next night: {local_time(night.at, settings)}"


def local_time(moment: datetime, settings: Settings) -> str:
    """On the studio's clocks."""
    return moment.astimezone(ZoneInfo(settings.timezone)).strftime("%A %Y-%m-%d %H:%M %Z")
