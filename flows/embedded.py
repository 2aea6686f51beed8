"""Prefect's API for one machine: started beside the command, gone with it, nothing to install or run.

Prefect's own temporary server outlives a killed parent and prints over the terminal. This one reads its parent's end
of a pipe and leaves when that closes, writes to a log file in Dailies' home, and asks for a password made up at each
start, so that no other local user or web page can use it. On a Prefect server (`PREFECT_API_URL` is set) none of this
is used. Must be called before anything imports prefect: Prefect reads the environment once.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DailiesError

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
}

UNWATCHED = {
    f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
    for service in ("EVENT_PERSISTER", "TASK_RUN_RECORDER", "TRIGGERS")
}
"""What a Prefect server writes down for its pages and automations, which this one does not have. The recorder alone
kept a shift's first request waiting for two seconds, behind its own write to SQLite."""


class EmbeddedApi:
    """Boots at once and is waited for at the last moment, so that models can load meanwhile."""

    def __init__(self, home: Path, *, patience: float = 120.0) -> None:
        home = (home / "prefect").resolve()
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "api.log"
        self._deadline = time.monotonic() + patience
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        password = f"dailies:{secrets.token_hex(16)}"
        self._authorization = "Basic " + b64encode(password.encode()).decode()
        self._url = f"http://127.0.0.1:{port}/api"
        os.environ.update(
            QUIET,
            PREFECT_HOME=str(home),
            PREFECT_API_URL=self._url,
            PREFECT_API_AUTH_STRING=password,
            PREFECT_LOGGING_TO_API_ENABLED="false",
        )
        server = {
            **os.environ,
            "PREFECT_SERVER_API_AUTH_STRING": password,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            **UNWATCHED,
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(port)], env=server, stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Until it answers. DailiesError with the end of its log when it does not."""
        request = urllib.request.Request(f"{self._url}/health", headers={"Authorization": self._authorization})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            if self._process.poll() is not None or time.monotonic() > self._deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise DailiesError(f"Prefect's API did not start; {self.log} ends with:\n{tail}")
            time.sleep(0.1)

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def start_orchestration(home: Path) -> Iterator[EmbeddedApi | None]:
    """The API that flows in this block report to: the server of `PREFECT_API_URL`, or an embedded one."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    before = dict(os.environ)
    api = EmbeddedApi(home)
    try:
        yield api
    finally:
        api.close()
        for name in (
            *QUIET,
            "PREFECT_HOME",
            "PREFECT_API_URL",
            "PREFECT_API_AUTH_STRING",
            "PREFECT_LOGGING_TO_API_ENABLED",
        ):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@contextmanager
def hide_server_output() -> Iterator[None]:
    """Flow runs without heartbeats: nobody watches the embedded API for zombies, and a heartbeat's thread costs every
    flow run a second at its end."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


_SERVE = """
import gc, os, sys, threading
gc.disable()  # it would look through all that is imported again and again
import uvicorn
from prefect.server.api.server import create_app
gc.enable()
config = uvicorn.Config(create_app, factory=True, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
server = uvicorn.Server(config)
def leave_with_parent():
    while os.read(0, 4096):
        pass
    os._exit(0)  # its database is no truth of ours, and SQLite survives worse
threading.Thread(target=leave_with_parent, daemon=True).start()
server.run()
"""
