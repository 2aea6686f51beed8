"""The Prefect server is killed while a night runs, and so is the night's own process: the night completes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from flows.on_workers import GPU_POOL
from storage.ledger import Ledger
from tests.conftest import Stack
from tests.flows.on_server import Studio, studio
from tests.flows.studio import parts_of, submit_to, write_manifest
from tests.flows.test_kill import sound

WORK = """
project: Test Shop
asked_by: ana
model: studio-tiny
defaults: {size: 256}
tiers:
  final: {scheduler: Euler, num_inference_steps: 12, guidance_scale: 2.0}
delivery: {name: "{Asset}_{digest}.png"}
assets:
  - {name: Potion, prompt: a potion, seeds: IMAGES}
"""


def made(ledger: Ledger) -> int:
    return sum(asset.made for asset in ledger.assets())


def restart(server: Studio, *, away: float) -> None:
    server.stop("server", kill=True)
    time.sleep(away)
    server.start_server()


def process_of_the_night(server: Studio) -> psutil.Process:
    """The flow run's own process: a grandchild of the worker for nights."""
    for process in psutil.Process(server.processes["nights"].pid).children(recursive=True):
        command = " ".join(process.cmdline())
        if "flow_run" in command or "prefect.engine" in command:
            return process
    raise AssertionError("the night has no process")


@pytest.mark.servers
@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize(("images", "restarts"), [(8, 1), (15, 3)], ids=["once", "three times"])
def test_the_server_is_killed_in_a_night(studio_stack: Stack, tmp_path: Path, images: int, restarts: int) -> None:
    parts = parts_of(studio_stack.settings, studio_stack.ledger, studio_stack.store)
    ledger = parts.ledger
    submit_to(parts, write_manifest(tmp_path / "m", WORK.replace("IMAGES", str(images))))
    with studio(studio_stack, tmp_path / "s", DAILIES_LEASE_SECONDS="30") as server:
        server.dailies("deploy", "--gpus", "2")
        server.start_workers()
        asked = server.dailies("now", "--by", "the test")
        server.until(lambda: ledger.nights(), "the night to begin")
        (night,) = ledger.nights()
        run = httpx.get(f"{server.api}/flow_runs/{night.flow_run}").json()
        assert run["name"] in asked
        assert f"night {night.id} is running since" in server.dailies("now"), "and no second one is begun"

        for number in range(restarts):
            goal = images * number // restarts + 1
            server.until(lambda goal=goal: made(ledger) >= goal, f"{goal} images")  # type: ignore[misc]
            restart(server, away=5.0 + 5.0 * number)
        # And Prefect, or an accident, ends the night's own process: another goes on with the same night.
        process = process_of_the_night(server)
        os.kill(process.pid, signal.SIGKILL)
        server.until(lambda: ledger.nights()[0].ended_at, "the night to end", patience=600)

        (night,) = ledger.nights()
        assert night.outcome == "complete", parts.store.get(night.report_key or "").decode()
        assert len(sound(parts)) == images == made(ledger)
        assert len(ledger.inbox(limit=100)) == images and not ledger.waiting() and not ledger.in_hand()
        # It keeps what it was told, and another night begins at once.
        assert "work pool dailies-gpu: 2 shifts at once" in server.dailies("deploy")
        server.dailies("now")
        server.until(lambda: len(ledger.nights()) == 2 and ledger.nights()[0].ended_at, "the next night")
        assert ledger.nights()[0].outcome == "complete"


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.timeout(1800)
def test_two_gpus_share_one_affinity_and_end_together(studio_stack: Stack, tmp_path: Path) -> None:
    """Forty images of one affinity are one shift; the second worker is given what the first has not begun."""
    parts = parts_of(studio_stack.settings, studio_stack.ledger, studio_stack.store)
    work = WORK.replace("IMAGES", "40").replace("size: 256", "size: 128")
    submit_to(parts, write_manifest(tmp_path / "m", work))
    with studio(studio_stack, tmp_path / "s") as server:
        server.dailies("deploy")
        server.start_workers(gpus=2)
        server.until(lambda: len(server.ask(f"work_pools/{GPU_POOL}/workers")) == 2, "two workers")
        server.dailies("now")
        server.until(lambda: [n for n in parts.ledger.nights() if n.ended_at], "the night to end", patience=900)
    assert parts.ledger.nights()[0].outcome == "complete"
    images = [parts.ledger.picture(digest).image for digest in sound(parts)]
    shares = sorted(Counter(image.worker for image in images).values())
    ends = sorted(max(i.made_at for i in images if i.worker == worker) for worker in {i.worker for i in images})
    print(f"images by worker: {shares}; the last of each came {(ends[-1] - ends[0]).total_seconds():.1f} s apart")
    assert len(images) == 40 and len(shares) == 2, shares
    assert shares[0] >= 0.6 * 20, shares
    spans = (ends[-1] - min(image.made_at for image in images)).total_seconds()
    assert (ends[-1] - ends[0]).total_seconds() <= 0.25 * spans
