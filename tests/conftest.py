"""What every room's tests can ask for. Servers are real, started at most once a session, only if a test wants them.

    ledger         a Ledger on a fresh, migrated database; each test runs on SQLite and again on PostgreSQL
    store          an empty Store; each test runs on a folder and again on SeaweedFS
    stack          a Stack (settings, ledger, store, environment): SQLite + folder, and again PostgreSQL + SeaweedFS
    local_stack    the first of the two only
    studio_stack   the second of the two only
    sqlite_ledger  a Ledger on SQLite only
    postgres_ledger  a Ledger on PostgreSQL only
    database_url   the URL of a fresh, empty database, SQLite and PostgreSQL
    postgres_url   (session) the server's URL;   s3_server (session) a tests.servers.S3Server

`tests/making.py` makes specs, submissions and images to put into them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client
from sqlalchemy import create_engine, make_url, text

from schemas.settings import Settings
from storage.database import migrate, open_database
from storage.ledger import Ledger
from storage.objects import FolderStore, S3Store, Store, open_store, s3_client
from tests import servers

SERVERS = pytest.mark.servers


@dataclass(frozen=True)
class Stack:
    name: str
    settings: Settings
    ledger: Ledger
    store: Store
    environment: dict[str, str]
    """For a process that is to work on the same stack: os.environ | stack.environment."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with servers.postgres() as url:
        with _administrator(url) as run:
            run("CREATE DATABASE migrated")
        template = open_database(_named(url, "migrated"))
        migrate(template)
        template.dispose()
        yield url


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = open_database(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.S3Server]:
    with servers.seaweedfs() as server, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, server.environment[name])
        yield server


@pytest.fixture(scope="session")
def s3_client_of_the_session(s3_server: servers.S3Server) -> S3Client:
    """Making a client takes longer than many a test. Its bucket `dailies` is there."""
    client = s3_client(endpoint_url=s3_server.endpoint_url, region=s3_server.region)
    S3Store("dailies", "", client).make_bucket(region=s3_server.region)
    return client


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=SERVERS)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        yield from _sqlite_ledger(request.getfixturevalue("sqlite_file"), tmp_path)
    else:
        yield from _postgres_ledger(request.getfixturevalue("postgres_url"))


@pytest.fixture
def sqlite_ledger(sqlite_file: Path, tmp_path: Path) -> Iterator[Ledger]:
    yield from _sqlite_ledger(sqlite_file, tmp_path)


@pytest.fixture
def postgres_ledger(postgres_url: str) -> Iterator[Ledger]:
    yield from _postgres_ledger(postgres_url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=SERVERS)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'dailies.db'}"
    else:
        with _database(request.getfixturevalue("postgres_url"), template="template0") as url:
            yield url


@pytest.fixture(params=["folder", pytest.param("s3", marks=SERVERS)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "objects")
    return S3Store("dailies", secrets.token_hex(6), request.getfixturevalue("s3_client_of_the_session"))


@pytest.fixture(params=["local", pytest.param("studio", marks=SERVERS)])
def stack(request: pytest.FixtureRequest) -> Stack:
    made: Stack = request.getfixturevalue(f"{request.param}_stack")
    return made


@pytest.fixture
def local_stack(sqlite_file: Path, tmp_path: Path) -> Iterator[Stack]:
    settings = Settings(home=tmp_path / "home")
    for ledger in _sqlite_ledger(sqlite_file, settings.home.resolve()):
        environment = {"DAILIES_HOME": str(settings.home.resolve())}
        yield Stack("local", settings, ledger, open_store(settings), environment)


@pytest.fixture
def studio_stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    server: servers.S3Server = request.getfixturevalue("s3_server")
    client = request.getfixturevalue("s3_client_of_the_session")
    for ledger in _postgres_ledger(request.getfixturevalue("postgres_url")):
        url = ledger.engine.url.render_as_string(hide_password=False)
        settings = _s3_settings(server, home=tmp_path / "home", database_url=url)
        environment = server.environment | {
            "DAILIES_HOME": str(settings.home.resolve()),
            "DAILIES_DATABASE_URL": url,
            "DAILIES_OBJECT_STORE": settings.object_store,
        }
        prefix = settings.object_store.removeprefix("s3://dailies/")
        yield Stack("studio", settings, ledger, S3Store("dailies", prefix, client), environment)


def _sqlite_ledger(migrated: Path, folder: Path) -> Iterator[Ledger]:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(migrated, folder / "dailies.db")
    engine = open_database(f"sqlite:///{folder / 'dailies.db'}")
    yield Ledger(engine)
    engine.dispose()


def _postgres_ledger(server_url: str) -> Iterator[Ledger]:
    with _database(server_url, template="migrated") as url:
        engine = open_database(url)
        yield Ledger(engine)
        engine.dispose()


def _s3_settings(server: servers.S3Server, **others: object) -> Settings:
    return Settings(
        object_store=f"s3://dailies/{secrets.token_hex(6)}",
        s3_endpoint_url=server.endpoint_url,
        s3_region=server.region,
        **others,  # type: ignore[arg-type]
    )


class _database:
    """A database of its own, dropped at the end, whoever is still connected."""

    def __init__(self, server_url: str, *, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._name = f"test_{os.getpid()}_{secrets.token_hex(4)}"

    def __enter__(self) -> str:
        with _administrator(self._server_url) as run:
            run(f"CREATE DATABASE {self._name} TEMPLATE {self._template}")
        return _named(self._server_url, self._name)

    def __exit__(self, *_: object) -> None:
        with _administrator(self._server_url) as run:
            run(f"DROP DATABASE {self._name} WITH (FORCE)")


class _administrator:
    def __init__(self, server_url: str) -> None:
        self._engine = create_engine(server_url, isolation_level="AUTOCOMMIT")

    def __enter__(self) -> Callable[[str], object]:
        self._connection = self._engine.connect()
        return lambda statement: self._connection.execute(text(statement))

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._engine.dispose()


def _named(server_url: str, database: str) -> str:
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)
