"""`dailies doctor`: everything that a night needs, asked once, one line each.

Changes nothing, but for a few bytes in the object store, which show whether the store keeps its promises."""

from __future__ import annotations

import contextlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from sqlalchemy import Engine, func, select

from engine.model_files import open_model_files
from schemas.errors import DailiesError, ModelError, ObjectConflict
from schemas.settings import Settings
from schemas.weights.fit import find_own_fault
from storage import pgvector
from storage.database import HEAD, open_database, read_revision
from storage.objects import FolderStore, Store, open_store
from tasks.window import Window

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SKEW_SECONDS = 5.0
FREE_GIGABYTES = 5.0
TOGETHER = {"prefect": "3.8.", "sqlalchemy": "2.0.", "fastapi": "0."}
"""Beginnings of the versions that work together. Prefect 3.8's scheduler inserts no run with SQLAlchemy 2.1."""


@dataclass(frozen=True)
class Examined:
    """`state`: ok, warning (a night can run), or wrong (it cannot)."""

    part: str
    state: str
    detail: str

    def __str__(self) -> str:
        return f"{self.state:7}  {self.part}: {self.detail}"


def examine(settings: Settings) -> Iterator[Examined]:
    """Each part in turn; a part that cannot be asked is wrong, and the others are still asked."""
    parts: dict[str, Callable[[Settings], Examined]] = {
        "versions": lambda _: _versions(),
        "database": _database,
        "clock": _clock,
        "object store": _store,
        "disk": _disk,
        "window": _window,
        "search model": _search_model,
    }
    for part, ask in parts.items():
        try:
            yield ask(settings)
        except DailiesError as wrong:
            yield Examined(part, "wrong", str(wrong))
    if not os.environ.get("PREFECT_API_URL"):
        yield Examined("prefect", "ok", "no server is set: nights run on this machine, started by hand or by cron")
        return
    yield from _prefect(settings)


def _versions() -> Examined:
    wrong, seen = [], []
    for name, start in TOGETHER.items():
        try:
            there = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        seen.append(f"{name} {there}")
        if not there.startswith(start):
            wrong.append(f"{name} {there} is installed, {start}x works with the others")
    return Examined("versions", "wrong" if wrong else "ok", "; ".join(wrong or seen))


def _database(settings: Settings) -> Examined:
    engine = open_database(settings.database)
    there = read_revision(engine)
    kind = engine.dialect.name
    if there is None:
        return Examined("database", "warning", f"{kind}, empty: the first command makes the tables")
    if there != HEAD:
        return Examined("database", "wrong", f"{kind}, at revision {there}; run `dailies migrate` to reach {HEAD}")
    return Examined("database", "ok", f"{kind}, at revision {there}; {_explain_likeness(engine)}")


def _explain_likeness(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return "likeness is searched in memory"
    with engine.connect() as connection:
        if pgvector.has_index(connection):
            return "likeness is searched by pgvector"
    return "likeness is searched in memory until a night has made pgvector's index, which needs pgvector 0.8 or newer"


def _search_model(settings: Settings) -> Examined:
    """Only headers are read; a night makes its images without it too."""
    alias = settings.search_model
    if not alias:
        return Examined("search model", "ok", "none is set: the Library compares what the models that made images saw")
    files = open_model_files(settings)
    try:
        files.entry(alias, asker="search_model", kind="dual_encoder")
        files.files(alias, asker="search_model")
        fault = find_own_fault(files, alias)
    except ModelError as wrong:
        fault = str(wrong)
    if fault:
        return Examined("search model", "warning", f"{alias}: {fault}")
    return Examined("search model", "ok", f"{alias}; `dailies models embed` gives images from before their vectors")


def _clock(settings: Settings) -> Examined:
    engine = open_database(settings.database)
    if engine.dialect.name == "sqlite":
        return Examined("clock", "ok", "one machine has one clock")
    before = datetime.now(UTC)
    with engine.connect() as connection:
        there = connection.scalar(select(func.clock_timestamp()))
    middle = before + (datetime.now(UTC) - before) / 2
    skew = abs((there - middle).total_seconds()) if there is not None else 0.0
    detail = f"{skew:.1f} s between this machine and the database"
    return Examined("clock", "wrong" if skew > SKEW_SECONDS else "ok", detail + ("; leases need one time" * (skew > 5)))


def _store(settings: Settings) -> Examined:
    store = open_store(settings)
    wrong = [promise for promise, holds in promises(store).items() if not holds]
    kind = "folder" if isinstance(store, FolderStore) else "S3"
    if wrong:
        return Examined("object store", "wrong", f"{kind}; it does not keep: {', '.join(wrong)}")
    return Examined("object store", "ok", f"{kind}; {', '.join(promises(store))}")


def promises(store: Store) -> dict[str, bool]:
    """What the store must keep, by name, and whether it does. Some S3-alikes accept a header and ignore it."""
    key, data = "reports/doctor-probe.txt", b"dailies doctor\n"
    with contextlib.suppress(ObjectConflict):  # overwritten by an earlier doctor, where the store allows that
        store.put_once(key, data, media_type="text/plain")
    there = store.get(key)
    try:
        refused = not store.put_once(key, b"other bytes", media_type="text/plain")
    except ObjectConflict:
        refused = True
    kept = {"create-once (If-None-Match)": refused and store.get(key) == there == data}
    if isinstance(store, FolderStore):
        return kept | {"hard links": True}
    kept["checksum (x-amz-checksum-sha256)"] = store.refuses_wrong_checksum("reports/doctor-checksum.txt")
    try:
        with urllib.request.urlopen(store.url(key, seconds=60), timeout=10) as answer:
            kept["presigned links"] = answer.read() == store.get(key)
    except OSError:
        kept["presigned links"] = False
    try:
        urllib.request.urlopen(store.url(key, seconds=60).partition("?")[0], timeout=10).close()
        kept["no reading without a link"] = False
    except urllib.error.HTTPError:
        kept["no reading without a link"] = True
    except OSError:
        kept["no reading without a link"] = True
    return kept


def _disk(settings: Settings) -> Examined:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free / 2**30
    state = "warning" if free < FREE_GIGABYTES else "ok"
    return Examined("disk", state, f"{free:.1f} GiB free where `home` is")


def _window(settings: Settings) -> Examined:
    if not settings.window:
        return Examined("window", "ok", "none: nights keep no hours")
    Window.parse(settings.window, timezone=settings.timezone)
    return Examined("window", "ok", f"{settings.window} in {settings.timezone}")


def _prefect(settings: Settings) -> Iterator[Examined]:
    import httpx
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            yield Examined("prefect", "ok", f"the server answers, version {client.api_version()}")
            yield _schedule(settings)
            yield from _workers(client)
    except httpx.HTTPError as wrong:
        yield Examined("prefect", "wrong", f"the server of PREFECT_API_URL does not answer ({type(wrong).__name__})")


def _schedule(settings: Settings) -> Examined:
    from flows.schedule import schedule_line

    line = schedule_line(settings)
    return Examined("schedule", "wrong" if line.startswith("WARNING") else "ok", line.removeprefix("WARNING: "))


def _workers(client: SyncPrefectClient) -> Iterator[Examined]:
    from prefect.exceptions import ObjectNotFound

    from flows.on_workers import GPU_POOL, NIGHT_POOL

    for part, pool, command in (
        ("night workers", NIGHT_POOL, "dailies worker"),
        ("GPU workers", GPU_POOL, "dailies worker --gpu 0"),
    ):
        try:
            workers = client.read_workers_for_work_pool(pool)
        except ObjectNotFound:
            yield Examined(part, "wrong", f"there is no work pool {pool}; run `dailies deploy`")
            continue
        online = sorted(w.name for w in workers if w.status is not None and w.status.value == "ONLINE")
        if online:
            yield Examined(part, "ok", ", ".join(online))
        else:
            yield Examined(part, "wrong", f"none is online; start one with `{command}`")
