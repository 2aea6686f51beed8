"""A real Prefect server, `dailies deploy`, two workers, PostgreSQL and S3: a night as a studio has it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import Stack
from tests.flows.studio import PLAIN, parts_of, submit_to, write_manifest
from tests.servers import free_port
from tests.studio import catalogue_path

PATIENCE = 240.0
"""Seconds until the night must have ended; about 40 on an idle machine."""


@pytest.mark.servers
def test_a_night_on_a_server(studio_stack: Stack, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= studio_stack.environment | {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_API_URL": (api := f"http://127.0.0.1:{(port := free_port())}/api"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DAILIES_CATALOGUE": str(catalogue_path()),
        "DAILIES_DEVICE": "cpu",
        "DAILIES_CHECKS": "false",
        "DAILIES_BATCH_SIZE": "2",
        "DAILIES_WINDOW": "21:30-06:00",
        "DAILIES_TIMEZONE": "Europe/Berlin",
    }
    dailies = [sys.executable, "-m", "flows"]
    server = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "log"
    with running(server, environment, log):
        _until(lambda: _answers(f"{api}/health"), "the server to answer", log)

        # 1. Twice, since a studio does it after every update.
        for _ in range(2):
            subprocess.run([*dailies, "deploy", "--gpus", "1"], cwd=tmp_path, env=environment, check=True)
        deployments = {d["name"]: d for d in httpx.post(f"{api}/deployments/filter", json={}).json()}
        assert deployments.keys() == {"nightly", "gpu", "retake", "deliver"}
        schedule = deployments["nightly"]["schedules"][0]["schedule"]
        assert (schedule["cron"], schedule["timezone"]) == ("30 21 * * *", "Europe/Berlin")
        assert len(deployments["nightly"]["schedules"]) == 1
        assert len(httpx.post(f"{api}/automations/filter", json={}).json()) == 1
        assert httpx.get(f"{api}/v2/concurrency_limits/dailies-gpus").json()["limit"] == 1

        # 2. A night, asked for by hand, outside its window.
        parts = parts_of(studio_stack.settings, studio_stack.ledger, studio_stack.store)
        submit_to(parts, write_manifest(tmp_path / "m", PLAIN))
        with (
            running([*dailies, "worker", "--gpu", "0"], environment, tmp_path / "gpu.log", cwd=tmp_path),
            running([*dailies, "worker"], environment, tmp_path / "nights.log", cwd=tmp_path),
        ):
            asked = subprocess.run([*dailies, "now", "--by", "the test"], cwd=tmp_path, env=environment, check=True,
                                   capture_output=True, text=True).stdout  # fmt: skip
            (run,) = httpx.post(f"{api}/flow_runs/filter", json={}).json()
            assert run["name"] in asked
            _until(
                lambda: any(night.ended_at for night in parts.ledger.nights()),
                "the night to end",
                tmp_path / "nights.log",
                tmp_path / "gpu.log",
            )
        # 3. What is true is in the ledger; Prefect only shows it.
        night = parts.ledger.nights()[0]
        assert (night.outcome, night.started_by, night.flow_run) == ("complete", "the test", run["id"])
        images = [parts.ledger.picture(item.digest).image for item in parts.ledger.inbox(limit=10)]
        assert len(images) == 4 and len({image.worker for image in images}) == 1
        runs = {r["id"]: r for r in httpx.post(f"{api}/flow_runs/filter", json={}).json()}
        assert {image.flow_run for image in images} == runs.keys() - {run["id"]}
        assert all(set(r["parameters"]) <= {"by", "windowed", "night", "shift", "until"} for r in runs.values())
        artifacts = {a["key"]: a for a in httpx.post(f"{api}/artifacts/filter", json={}).json() if a["key"]}
        assert artifacts["morning-report"]["data"].startswith("# Night 1: complete")
        assert artifacts["shift"]["data"] == 100.0


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path, *, cwd: Path | None = None) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _until(done: object, what: str, *logs: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():  # type: ignore[operator]
        tails = "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for log in logs)
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}\n{tails}"
        time.sleep(0.5)
