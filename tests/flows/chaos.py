"""Harm to a real studio: two workers, PostgreSQL, an S3 behind a proxy, Prefect's server.

The second worker is another machine: it has a home and a clock of its own. Every fault is undone before it returns,
as an operator, systemd or the passing of time would.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from schemas.settings import Settings
from storage.database import migrate, open_database
from storage.ledger import Ledger
from storage.objects import S3Store, s3_client
from tests.clock import WrongClock, wrong_clock
from tests.conftest import Stack
from tests.flows.on_server import Studio, studio
from tests.s3_proxy import Fault, FaultProxy
from tests.servers import Server, postgres_server, seaweedfs_server, signal_tree

WORKERS = ("gpu0", "gpu1")
JUMPS = (-3600, -120, 120, 3600)
"""Seconds."""
DISK = 512
"""MiB of each disk that can be filled."""


@dataclass
class Pace:
    """Seconds: how long things last. A test that must be short takes them shorter."""

    stop: float = 20.0
    refusal: float = 30.0
    secret: float = 60.0
    away: float = 5.0


@dataclass
class Chaos:
    studio: Studio
    stack: Stack
    proxy: FaultProxy
    database: Server
    store: Server
    clock: WrongClock | None
    disks: dict[str, Path]
    """What is on it -> a folder that can be filled; empty where this user may mount nothing."""
    random: random.Random
    pace: Pace = field(default_factory=Pace)
    aim: str = ""
    """What the last fault was done to."""

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "SIGKILL a shift's process": self.kill_shift,
            "SIGKILL a GPU's worker": self.kill_worker,
            "SIGKILL the night's process": self.kill_night,
            "SIGKILL the worker for nights": self.kill_night_worker,
            "SIGKILL Prefect's server": self.kill_prefect,
            "SIGKILL SeaweedFS": self.kill_store,
            "SIGKILL PostgreSQL": self.kill_database,
            "SIGSTOP": self.stand_still,
            "S3 answers 500": lambda: self.refuse("500"),
            "S3 answers 503": lambda: self.refuse("503"),
            "S3 is slow": lambda: self.refuse("slow"),
            "S3 breaks connections": lambda: self.refuse("broken"),
            "wrong secret": lambda: self.refuse("wrong secret"),
            "disk full": self.fill_disk,
            "clock jump": self.jump,
        }

    # 1. Processes.
    def kill_shift(self) -> None:
        self.aim, process = self._flow_run(*self.random.sample(WORKERS, 2))
        process.kill()

    def kill_night(self) -> None:
        self.aim, process = self._flow_run("nights")
        process.kill()

    def kill_worker(self) -> None:
        self.aim = self.random.choice(WORKERS)
        self._kill(self.aim)
        time.sleep(self.pace.away)
        self.studio.start_worker(WORKERS.index(self.aim))

    def kill_night_worker(self) -> None:
        self.aim = "nights"
        self._kill("nights")
        time.sleep(self.pace.away)
        self.studio.start_night_worker()

    def kill_prefect(self) -> None:
        self.aim = "server"
        self._kill("server")
        time.sleep(2 * self.pace.away)
        self.studio.start_server()

    def kill_store(self) -> None:
        self.aim = "SeaweedFS"
        self.store.kill()
        time.sleep(self.pace.away)
        self.store.start()

    def kill_database(self) -> None:
        self.aim = "PostgreSQL"
        self.database.kill()
        time.sleep(self.pace.away)
        self.database.start()

    def stand_still(self) -> None:
        """SIGSTOP, as a machine that swaps or a hypervisor that moves it."""
        self.aim = self.random.choice(["gpu0", "gpu1", "nights", "server", "PostgreSQL", "SeaweedFS"])
        servers = {"PostgreSQL": self.database, "SeaweedFS": self.store}

        def signal_all(number: signal.Signals) -> None:
            if self.aim in servers:
                servers[self.aim].signal(number)
            else:
                signal_tree(self.studio.processes[self.aim].pid, number)

        signal_all(signal.SIGSTOP)
        try:
            time.sleep(self.pace.stop)
        finally:
            signal_all(signal.SIGCONT)

    # 2. The store, the disks, the clock.
    def refuse(self, fault: Fault) -> None:
        self.proxy.fault = fault
        before = self.proxy.disturbed
        try:
            time.sleep(self.pace.secret if fault == "wrong secret" else self.pace.refusal)
        finally:
            self.proxy.fault = ""
        self.aim = f"{self.proxy.disturbed - before} requests"

    def fill_disk(self) -> None:
        if not self.disks:
            self.refuse("full")
            return
        self.aim = self.random.choice(list(self.disks))
        ballast = self.disks[self.aim] / "ballast"
        try:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(2**20)):
                    pass
            with suppress(OSError), ballast.open("ab", buffering=0) as file:
                while file.write(bytes(64)):
                    pass
            time.sleep(self.pace.refusal)
        finally:
            ballast.unlink()
        if self.aim == "database" and not self.database.runs:  # no room for its log: it ends itself
            self.database.kill()
            self.database.start()

    def jump(self) -> None:
        """The second worker's wall clock is wrong for a while."""
        assert self.clock is not None
        seconds = self.random.choice(JUMPS)
        self.aim = f"{seconds:+} s"
        self.clock.jump(seconds)
        try:
            time.sleep(self.pace.refusal)
        finally:
            self.clock.jump(0)

    def _kill(self, name: str) -> None:
        process = self.studio.processes.pop(name)
        signal_tree(process.pid, signal.SIGKILL)
        process.wait()

    def _flow_run(self, *names: str) -> tuple[str, psutil.Process]:
        """The process of a flow run under one of these workers; waits until there is one."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for name in names:
                for process in psutil.Process(self.studio.processes[name].pid).children(recursive=True):
                    with suppress(psutil.Error):
                        command = " ".join(process.cmdline())
                        if "flow_run" in command or "prefect.engine" in command:
                            return name, process
            time.sleep(0.2)
        raise NoTarget(f"no flow run has a process under {' or '.join(names)}")


class NoTarget(Exception):
    pass


@contextmanager
def chaos(folder: Path, *, seed: int, pace: Pace, disks: bool = True) -> Iterator[Chaos]:
    """The studio is deployed, its workers run."""
    with ExitStack() as stack:
        # 1. Two servers of its own, and what is between the store and its clients.
        place_of = {name: folder / name for name in ("database", "store", "worker")}
        mounted = {name: path for name, path in place_of.items() if stack.enter_context(_disk(path, mount=disks))}
        url, database = postgres_server(place_of["database"])
        place, store = seaweedfs_server(place_of["store"])
        stack.enter_context(database)
        stack.enter_context(store)
        proxy = stack.enter_context(FaultProxy(place.endpoint_url))
        # 2. What the test itself sees with goes past the proxy.
        engine = open_database(url)
        migrate(engine)
        stack.callback(engine.dispose)
        os.environ.update({n: v for n, v in place.environment.items() if n.startswith("AWS_")})
        client = s3_client(endpoint_url=place.endpoint_url, region=place.region)
        objects = S3Store("dailies", "chaos", client)
        objects.make_bucket(region=place.region)
        home = folder / "home"
        settings = Settings(home=home, database_url=url, object_store="s3://dailies/chaos", s3_region=place.region)
        environment = place.environment | {
            "DAILIES_HOME": str(home),
            "DAILIES_DATABASE_URL": url,
            "DAILIES_OBJECT_STORE": "s3://dailies/chaos",
            "DAILIES_S3_ENDPOINT_URL": proxy.url,
            "OMP_NUM_THREADS": "1",
        }
        studio_stack = Stack("studio", settings, Ledger(engine), objects, environment)
        # 3. Prefect's server and the workers, the second of them as if it were elsewhere.
        running = stack.enter_context(studio(studio_stack, folder / "studio", DAILIES_LEASE_SECONDS="20"))
        running.environment["DAILIES_BATCH_SIZE"] = "4"
        clock = wrong_clock(folder)
        running.own_settings["gpu1"] = {"DAILIES_HOME": str(place_of["worker"] / "home")}
        if clock is not None:
            running.own_settings["gpu1"] |= clock.environment
        running.dailies("deploy")
        running.start_workers(gpus=len(WORKERS))
        yield Chaos(running, studio_stack, proxy, database, store, clock, mounted, random.Random(seed), pace)


@contextmanager
def _disk(path: Path, *, mount: bool) -> Iterator[bool]:
    """A small file system at `path`, where this user may mount one."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(path)]
    if not mount or subprocess.run(command, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def working_folder() -> Iterator[Path]:
    """That of CHAOS_FOLDER, which stays, or a temporary one. PostgreSQL runs as nobody where we are root, and must
    reach its data; pytest's own folders are closed to it."""
    if kept := os.environ.get("CHAOS_FOLDER"):
        folder = Path(kept).resolve()
        folder.mkdir(parents=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="dailies-chaos-", ignore_cleanup_errors=True) as temporary:
        os.chmod(temporary, 0o755)
        yield Path(temporary)
