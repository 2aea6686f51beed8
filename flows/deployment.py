"""What a Prefect server must know before the first night: pools, deployments, schedule, the watch for zombies.

`dailies deploy` can be run again at any time; it brings the server to what this checkout and its settings say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.on_workers import GPU_POOL, NIGHT_POOL
from flows.schedule import wait_for_schedule
from schemas.errors import DailiesError, SettingsError
from schemas.settings import ROOT, Settings
from tasks.parts import open_parts
from tasks.window import Window

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from storage.ledger import Ledger

NIGHT_FALLS = "0 22 * * *"
"""When nights begin if the settings name no working window."""

DEPLOYMENTS = ("nightly", "gpu", "retake", "deliver")
OLD_LIMIT = "dailies-gpus"

SILENCE = timedelta(seconds=100)
"""A flow run that says nothing for this long is a zombie; prefect.yaml asks for a sign of life every 30 s."""


def deploy(settings: Settings, *, gpus: int | None) -> list[str]:
    """Returns what was set up, one line each. SettingsError without a server.

    `gpus`: shifts that may render at once; None keeps what the server has.
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise SettingsError("PREFECT_API_URL is not set; deployments live on a Prefect server, one machine needs none")
    from prefect.client.orchestration import get_client

    said = []
    with get_client(sync_client=True) as client:
        # 1. Where work is queued: nights beside GPUs, so that a night that waits never takes a GPU's place.
        said += [
            _pool(client, NIGHT_POOL, "Dailies: nights"),
            _pool(client, GPU_POOL, "Dailies: shifts, a worker a GPU"),
        ]
        said.append(_gpus(client, gpus))
        # 2. Slots that nobody holds: limits of earlier releases, and shifts that only Prefect believes to run.
        said += _free_slots(client, open_parts(settings).ledger)
    # 3. The deployments.
    window = Window.parse(settings.window, timezone=settings.timezone) if settings.window else None
    cron = window.cron if window else NIGHT_FALLS
    said += _deployments(cron, settings.timezone)
    # 4. Flow runs whose process is gone are marked crashed.
    said.append(_zombies())
    # 5. That a night will really start is the server's to say.
    with get_client(sync_client=True) as client:
        said.append(wait_for_schedule(client, settings))
    return said


def _pool(client: SyncPrefectClient, name: str, description: str) -> str:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=name, type="process", description=description))
    except ObjectAlreadyExists:
        return f"work pool {name}: was there"
    return f"work pool {name}: made"


def _gpus(client: SyncPrefectClient, gpus: int | None) -> str:
    """A limit of the pool is counted from the runs in Prefect's database, so a restart of the server keeps it."""
    from prefect.client.schemas.actions import WorkPoolUpdate

    if gpus is not None:
        client.update_work_pool(GPU_POOL, WorkPoolUpdate(concurrency_limit=gpus))
    limit = client.read_work_pool(GPU_POOL).concurrency_limit
    return f"work pool {GPU_POOL}: {limit or 'as many'} shifts at once" + ("" if limit else " as it has workers")


def _free_slots(client: SyncPrefectClient, ledger: Ledger) -> list[str]:
    """Leases of Prefect's concurrency limits do not survive a restart of its server; a slot is then held for ever."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    said = []
    # 1. Limits that earlier releases set.
    try:
        client.delete_global_concurrency_limit_by_name(OLD_LIMIT)
        said.append(f"concurrency limit {OLD_LIMIT}: removed, one worker a GPU is the limit")
    except ObjectNotFound:
        pass
    for deployment in client.read_deployments():
        if deployment.name in DEPLOYMENTS and deployment.global_concurrency_limit is not None:
            client.request(
                "PATCH", "/deployments/{id}", path_params={"id": deployment.id}, json={"concurrency_limit": None}
            )
            said.append(f"concurrency limit of {deployment.name}: removed")
    # 2. Runs that have no process any more, when nothing at all is at work.
    if ledger.running_night() is not None or ledger.in_hand():
        return said
    types = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["gpu"])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=types)),
    )
    for run in runs:
        client.set_flow_run_state(run.id, Crashed(message="its process is gone"), force=True)
        said.append(f"flow run {run.name}: ended, nobody works on it")
    return said


def _deployments(cron: str, timezone: str) -> list[str]:
    """Through Prefect's own command, so that prefect.yaml stays the one description."""
    environment = {**os.environ, "DAILIES_CRON": cron, "DAILIES_TIMEZONE": timezone, "DO_NOT_TRACK": "1"}
    environment.pop("DAILIES_FOLDER", None)  # each worker's own, looked up when it runs
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DailiesError(f"prefect deploy failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return [f"deployment nightly/nightly: {cron}, {timezone}", "deployments render/gpu, retake/retake, deliver/deliver"]


def _zombies() -> str:
    """Prefect's server watches no heartbeats until it is asked to."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    name = "Dailies: flow runs whose process is gone"
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    automation = Automation(
        name=name,
        description="Marks a flow run crashed when its heartbeat stops, so that the night can go on without it.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ends},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="its process said nothing any more")],
    )
    try:
        known = Automation.read(name=name)
    except ValueError:
        automation.create()
        return f"automation {name!r}: made"
    automation.id = known.id
    automation.update()
    return f"automation {name!r}: brought up to date"
