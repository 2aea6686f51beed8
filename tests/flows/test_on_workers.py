"""The shifts of a night on a server, with the test as worker: who takes none, who falls silent, how one ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.exceptions import ObjectAlreadyExists
from prefect.flow_engine import run_flow
from prefect.states import Completed, Crashed, Failed, Running

from flows.embedded import hide_server_output
from flows.on_workers import GPU_POOL, NoWorker, ShiftEnd, on_workers
from flows.render import render
from tasks.night import look_ahead, plan_submitted
from tasks.parts import Parts, use_parts
from tasks.report import Morning, write_report
from tests.flows.studio import PLAIN, night, submit_to, write_manifest


@pytest.fixture
def client(prefect_api: None) -> Iterator[SyncPrefectClient]:
    """Of a server that has the pool of shifts and their deployment."""
    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=GPU_POOL, type="process"))
        flow = client.create_flow_from_name("render")
        client.create_deployment(flow_id=flow, name="gpu", work_pool_name=GPU_POOL, entrypoint="flows.render:render")
        yield client


def prepare(parts: Parts, folder: Path, text: str = PLAIN) -> tuple[int, list[tuple[str, str, int]]]:
    """A night's number and its shifts."""
    manifest = write_manifest(folder, text)
    submit_to(parts, manifest)
    with use_parts(parts):
        plan_submitted.fn()
        number = parts.ledger.start_night("test")
        return number, look_ahead.fn(number, {}).shifts


def open_runs(client: SyncPrefectClient) -> list[Any]:
    gpu = DeploymentFilter(name=DeploymentFilterName(any_=["gpu"]))
    runs = client.read_flow_runs(deployment_filter=gpu)
    return [run for run in runs if run.state is None or not run.state.is_final()]


class Worker:
    """Takes the flow runs of shifts one by one, on a thread; `act` is given each. A context."""

    def __init__(self, client: SyncPrefectClient, act: Any) -> None:
        self.taken: list[UUID] = []
        self._client, self._act, self._ending = client, act, threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), daemon=True)

    def __enter__(self) -> Worker:
        self._client.request(
            "POST",
            "/work_pools/{work_pool_name}/workers/heartbeat",
            path_params={"work_pool_name": GPU_POOL},
            json={"name": "the test", "heartbeat_interval_seconds": 30},
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._client.request(
            "DELETE",
            "/work_pools/{work_pool_name}/workers/{name}",
            path_params={"work_pool_name": GPU_POOL, "name": "the test"},
        )

    def _work(self) -> None:
        with get_client(sync_client=True) as client:
            while not self._ending.wait(0.2):
                for run in open_runs(client):
                    if run.id not in self.taken and run.state.is_scheduled():
                        self.taken.append(run.id)
                        self._act(client, run)


def test_a_night_without_a_worker_says_so_and_gives_up(
    local: Parts, client: SyncPrefectClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number, shifts = prepare(local, tmp_path)
    local.settings.worker_wait_seconds = 1
    began = time.monotonic()
    with (
        use_parts(local),
        caplog.at_level(logging.WARNING),
        pytest.raises(NoWorker, match=r"no GPU worker worked for 1 s.*none was online"),
    ):
        list(on_workers(shifts, night=number, until=None))
    assert time.monotonic() - began < 60
    assert "wait for a GPU worker" in caplog.text and "dailies worker --gpu 0" in caplog.text
    assert len(local.ledger.waiting()) == 4, "all of it waits for the next night"
    assert open_runs(client) == [], "a worker that starts tomorrow noon must not begin it"


def test_a_silent_shift_is_given_up(local: Parts, client: SyncPrefectClient, tmp_path: Path) -> None:
    """Prefect believes that it runs; the ledger sees neither a lease nor an image."""
    number, shifts = prepare(local, tmp_path)
    local.settings.lease_seconds, local.settings.silence_seconds = 10, 1
    began = time.monotonic()

    def fall_silent(client: SyncPrefectClient, run: Any) -> None:
        client.set_flow_run_state(run.id, Running(), force=True)

    with use_parts(local), Worker(client, fall_silent) as worker:
        ended = list(on_workers(shifts, night=number, until=None))
    assert [one.crashed for one in ended] == ["nothing was heard of it any more"]
    assert 11 <= time.monotonic() - began < 120
    state = client.read_flow_run(worker.taken[0]).state
    assert state is not None and state.is_crashed(), "Prefect must not count it as running"


@pytest.mark.parametrize(
    ("written", "state", "expected"),
    [
        (("stopped", "5 specs in a row"), Failed(message="whatever"), ShiftEnd("A", stopped="5 specs in a row")),
        (("failed", "no DeviceLost"), Failed(message="ShiftStopped: no"), ShiftEnd("A", failed="no DeviceLost")),
        (("lost", "StoreUnavailable"), Completed(), ShiftEnd("A", crashed="StoreUnavailable")),
        (("complete", ""), Crashed(message="after its last word"), ShiftEnd("A")),
        (
            None,
            Failed(message="ShiftStopped: as it seems"),
            ShiftEnd("A", crashed="it said nothing of its end; Prefect: ShiftStopped: as it seems"),
        ),
    ],
)
def test_how_a_shift_ended_is_the_ledger_s_to_say(
    local: Parts, client: SyncPrefectClient, written: tuple[str, str] | None, state: Any, expected: ShiftEnd
) -> None:
    """Prefect's text says something else each time."""
    number = local.ledger.start_night("test")

    def end(client: SyncPrefectClient, run: Any) -> None:
        for outcome, message in [written, ("failed", "said later")] if written is not None else []:
            local.ledger.end_shift_run(str(run.id), night=number, affinity_key="A", outcome=outcome, message=message)
        client.set_flow_run_state(run.id, state, force=True)

    with use_parts(local), Worker(client, end):
        (ended,) = on_workers([("shifts/none", "A", 1)], night=number, until=None)
    assert ended == expected


def test_a_studio_s_report_has_the_engine_s_notes(
    local: Parts, client: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one machine's has: both are what the shifts wrote into the ledger."""
    number, shifts = prepare(local, tmp_path)
    forward = local.engine._forward

    def narrow(pipe: Any, rows: list[Any], *others: Any) -> Any:
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(pipe, rows, *others)

    def make(client: SyncPrefectClient, run: Any) -> None:
        with use_parts(local), hide_server_output():
            run_flow(render, flow_run=run, parameters=run.parameters)

    monkeypatch.setattr(local.engine, "_forward", narrow)
    monkeypatch.setattr(local.engine.batch_sizer, "_most", {})
    with use_parts(local), Worker(client, make):
        ended = list(on_workers(shifts, night=number, until=None))
        report = local.store.get(write_report.fn(Morning(number, outcome="complete"))).decode()
    assert ended == [ShiftEnd(shifts[0][1])]
    note = "no room for 4 at once; made in batches of 2"
    assert "## Notes" in report and f"- {note} (4 images)" in report
    (end,) = local.ledger.shift_runs(number)
    assert (end.outcome, end.notes) == ("complete", {note: 4})

    submit_to(local, write_manifest(tmp_path / "later", PLAIN.replace("seeds: 4", "seeds: [8, 9, 10, 11]")))
    local.engine.batch_sizer._most.clear()
    result = night(local)
    assert f"- {note} (4 images)" in local.store.get(result["report"]).decode(), "one machine"
