"""What a Prefect server must know before the first night: pool, queues, limits, deployments, the watch for zombies.

`dailies deploy` can be run again at any time; it brings the server to what this checkout and its settings say.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from flows.dispatch import GPU_QUEUE, NIGHT_QUEUE, POOL
from flows.render import GPU_LIMIT
from flows.schedule import wait_for_schedule
from schemas.errors import DailiesError, SettingsError
from schemas.settings import ROOT, Settings
from tasks.window import Window

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

NIGHT_FALLS = "0 22 * * *"
"""When nights begin if the settings name no working window."""

SILENCE = timedelta(seconds=100)
"""A flow run that says nothing for this long is a zombie; prefect.yaml asks for a sign of life every 30 s."""


def deploy(settings: Settings, *, gpus: int) -> list[str]:
    """Returns what was set up, one line each. SettingsError without a server."""
    if not os.environ.get("PREFECT_API_URL"):
        raise SettingsError("PREFECT_API_URL is not set; deployments live on a Prefect server, one machine needs none")
    from prefect.client.orchestration import get_client

    said = []
    with get_client(sync_client=True) as client:
        # 1. Where work is queued: nights beside GPUs, so that a night that waits never takes a GPU's place.
        said.append(_pool(client))
        said += [_queue(client, queue) for queue in (GPU_QUEUE, NIGHT_QUEUE)]
        # 2. How many shifts may render at once in the whole studio; `render` insists on this limit.
        said.append(_limit(client, gpus))
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


def work(*, gpu: str | None, name: str = "") -> None:
    """Becomes a worker of the pool: for shifts on this GPU, or for nights. Does not return."""
    if not os.environ.get("PREFECT_API_URL"):
        raise SettingsError("PREFECT_API_URL is not set; a worker takes its work from a Prefect server")
    kind = "nights" if gpu is None else f"gpu{gpu}"
    arguments = ["worker", "start", "--pool", POOL, "--type", "process"]
    arguments += ["--name", name or f"{socket.gethostname()} {kind}"]
    arguments += ["--work-queue", NIGHT_QUEUE] if gpu is None else ["--work-queue", GPU_QUEUE, "--limit", "1"]
    environment = {
        **os.environ,
        "DAILIES_FOLDER": os.getcwd(),
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "DO_NOT_TRACK": "1",
    }
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *arguments], environment)


def _pool(client: SyncPrefectClient) -> str:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description="Dailies: nights and shifts"))
    except ObjectAlreadyExists:
        return f"work pool {POOL}: was there"
    return f"work pool {POOL}: made"


def _queue(client: SyncPrefectClient, name: str) -> str:
    at = f"/work_pools/{POOL}/queues"
    answer = client.request("POST", f"{at}/filter", json={})
    if name in {queue["name"] for queue in answer.json()}:
        return f"queue {name}: was there"
    client.request("POST", f"{at}/", json={"name": name})
    return f"queue {name}: made"


def _limit(client: SyncPrefectClient, gpus: int) -> str:
    client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, limit=gpus)
    return f"concurrency limit {GPU_LIMIT}: {gpus} shifts at once"


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
