"""The database behind the ledger: SQLite for one machine, PostgreSQL for a studio. Opens it, brings it up to date.

Knows no query. Vendor errors become `LedgerUnavailable` (away, locked, full: trying again can help) or `LedgerError`
here and nowhere else.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url, text
from sqlalchemy.engine import ExceptionContext

from schemas.errors import LedgerError, LedgerUnavailable, SettingsError

MIGRATIONS = Path(__file__).resolve().parent / "migrations"

HEAD = "0014"
"""The revision this program is written for: the newest in migrations/versions (a test compares)."""

PATIENCE = 30
"""Seconds to wait for somebody else's write lock, for a connection, for a free place in the pool."""

WRITES = "dailies_writes"
"""Execution option of a transaction that will write: on SQLite it takes the write lock at its start, so that it can
never be refused the lock in its middle."""


def open_database(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`; connects to nothing yet. SettingsError for any other."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise SettingsError("database_url is no SQLAlchemy URL; expected sqlite:///path or postgresql://...") from None
    shared: dict[str, Any] = {"json_serializer": _json, "pool_size": 8, "max_overflow": 32, "pool_timeout": PATIENCE}
    match parsed.get_backend_name():
        case "sqlite":
            engine = _open_sqlite(parsed, shared)
        case "postgresql" | "postgres":
            engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                connect_args={"connect_timeout": 10, "application_name": "dailies"},
                pool_pre_ping=True,
                **shared,
            )
        case other:
            raise SettingsError(f"database_url: got {other}; expected sqlite or postgresql")
    event.listen(engine, "handle_error", _translate)
    return engine


def _open_sqlite(url: URL, shared: dict[str, Any]) -> Engine:
    if not url.database or url.database == ":memory:":
        raise SettingsError("database_url: got SQLite without a file; expected a file, which several processes can see")
    try:
        Path(url.database).resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerUnavailable(f"{url.database}: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": PATIENCE}, **shared)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
        for pragma in (
            f"busy_timeout={PATIENCE * 1000}",
            "journal_mode=WAL",  # readers and the one writer do not wait for each other
            "synchronous=FULL",  # a decision that was acknowledged survives a power cut
            "foreign_keys=ON",
            "cache_size=-65536",  # KiB
            f"journal_size_limit={64 * 2**20}",  # bytes; a large plan must not leave its journal lying about
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(engine: Engine) -> None:
    """Brings the schema to HEAD. Several processes may do so at once: one works, the others wait and find it done."""
    if read_revision(engine) == HEAD:
        return
    from alembic import command  # 0.3 s that only a new or old database costs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('dailies.migrate'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def prepare_database(engine: Engine) -> None:
    """For an ordinary command: makes an empty database, and brings a one-machine one up to date. LedgerError when a
    studio's is older than this program: others work on it, so somebody has to say when (`dailies migrate`)."""
    there = read_revision(engine)
    if there is not None and there != HEAD and engine.dialect.name != "sqlite":
        raise LedgerError(
            f"the database is at revision {there}, this program needs {HEAD}. Stop workers and review app, back the "
            "database up, and run: dailies migrate"
        )
    migrate(engine)


def read_revision(engine: Engine) -> str | None:
    """Of the schema; None while there is none. LedgerError when a newer program made it: there is no way back."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found > HEAD:
        raise LedgerError(
            f"the database is at revision {found}, this program knows {HEAD}; use the newer program, or restore a "
            "backup: there is no downgrade"
        )
    return found


def _translate(context: ExceptionContext) -> None:
    error = context.sqlalchemy_exception
    if context.is_pre_ping or error is None:
        return
    said = str(context.original_exception).strip().partition("\n")[0]
    if isinstance(error, (exc.OperationalError, exc.InterfaceError)) or context.is_disconnect:
        raise LedgerUnavailable(f"the database cannot be used now: {said}") from context.original_exception
    raise LedgerError(f"the database refused: {said}") from context.original_exception


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
