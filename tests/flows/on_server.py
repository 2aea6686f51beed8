"""A studio on this machine: a real Prefect server, `dailies deploy`, real workers, over a stack's stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import Stack
from tests.servers import free_port
from tests.studio import catalogue_path

PATIENCE = 240.0
"""Seconds for anything that is waited for; about 40 are needed on an idle machine."""


class Studio:
    """Everything runs in `folder`, with logs there. A context that ends what it started."""

    def __init__(self, stack: Stack, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = environment | stack.environment | {
            "DO_NOT_TRACK": "1",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_API_URL": self.api,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "DAILIES_CATALOGUE": str(catalogue_path()),
            "DAILIES_DEVICE": "cpu",
            "DAILIES_CHECKS": "false",
            "DAILIES_BATCH_SIZE": "2",
            **settings,
        }  # fmt: skip
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.own_settings: dict[str, dict[str, str]] = {}
        """Process -> what its environment has beside that of all."""

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)

    def start(self, name: str, command: list[str]) -> None:
        """`name`.log is its log, appended to when it starts again."""
        environment = self.environment | self.own_settings.get(name, {})
        with (self.folder / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=out, stderr=out, start_new_session=True
            )

    def stop(self, name: str, *, kill: bool = False) -> None:
        """`kill`: SIGKILL, to all of its processes."""
        process = self.processes.pop(name)
        if kill:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start_server(self) -> None:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self.start("server", command)
        self.until(self.answers, "the server to answer")

    def start_workers(self, *, gpus: int = 1) -> None:
        """Named so that nobody could tell from a name what a worker does."""
        for gpu in range(gpus):
            self.start_worker(gpu)
        self.start_night_worker()

    def start_worker(self, gpu: int) -> None:
        name = f"number {gpu} of the test"
        self.start(f"gpu{gpu}", [sys.executable, "-m", "flows", "worker", "--gpu", str(gpu), "--name", name])

    def start_night_worker(self) -> None:
        self.start("nights", [sys.executable, "-m", "flows", "worker"])

    def dailies(self, *arguments: str) -> str:
        """What the command prints; it must succeed."""
        command = [sys.executable, "-m", "flows", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"dailies {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ask(self, path: str, **body: Any) -> Any:
        return httpx.post(f"{self.api}/{path}/filter", json=body, timeout=10).raise_for_status().json()

    def send(self, method: str, path: str, body: Any) -> Any:
        answer = httpx.request(method, f"{self.api}/{path}", json=body, timeout=30).raise_for_status()
        return answer.json() if answer.content else None

    def log_lines(self, name: str) -> list[dict[str, Any]]:
        """The JSON lines in a process's log; banners that Prefect prints, and does not log, are left out."""
        text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def until(self, done: Callable[[], object], what: str, *, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not done():
            tails = "\n".join(
                f"{log.name}:\n{log.read_text(errors='replace')[-4000:]}" for log in sorted(self.folder.glob("*.log"))
            )
            assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}\n{tails}"
            time.sleep(0.5)


@contextmanager
def studio(stack: Stack, folder: Path, **settings: str) -> Iterator[Studio]:
    """With its server running."""
    folder.mkdir(parents=True, exist_ok=True)
    with Studio(stack, folder, **settings) as running:
        running.start_server()
        yield running
