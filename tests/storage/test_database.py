from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from schemas.errors import LedgerError, LedgerUnavailable, SettingsError
from schemas.records import Row
from schemas.settings import ROOT
from storage.database import HEAD, MIGRATIONS, migrate, open_database
from storage.ledger import Ledger
from tests import servers
from tests.making import a_spec


def shape(engine: Engine) -> list[tuple[list[str], ...]]:
    """Every table, column, constraint and index as the database itself describes it."""
    if engine.dialect.name == "sqlite":
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name != 'alembic_version'"
    else:
        query = """
            SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT 'column', table_name, column_name,
                   concat_ws(' ', ordinal_position, data_type, character_maximum_length, is_nullable, column_default,
                             col_description(table_name::regclass, ordinal_position))
            FROM information_schema.columns WHERE table_schema = 'public'
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        """
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    kept = [row for row in rows if "alembic_version" not in str(row)]
    # The order of a table's clauses says nothing; SQLite's text has it all the same.
    return sorted(tuple(sorted(re.split(r"[(),\s]+", str(value))) for value in row) for row in kept)


def emptied(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            Row.metadata.drop_all(connection)
            connection.execute(text("DROP TABLE alembic_version"))
        else:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))


def test_the_migrated_schema_is_that_of_the_models(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []
    migrated = shape(engine)
    emptied(engine)
    Row.metadata.create_all(engine)
    assert migrated == shape(engine)  # partial indexes, comments and constraints too, which Alembic does not compare
    engine.dispose()


def test_the_newest_script_is_the_one_this_program_is_written_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    code = "import sys; from storage.database import *; migrate(open_database(sys.argv[1]))"
    starting = [
        subprocess.Popen([sys.executable, "-c", code, database_url], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)
    ]
    assert [(process.communicate()[1], process.returncode) for process in starting] == [(b"", 0)] * 3
    engine = open_database(database_url)
    assert Ledger(engine).waiting() == []
    engine.dispose()


def test_migrating_is_quiet_and_can_be_repeated(
    database_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    engine = open_database(database_url)
    migrate(engine)
    Ledger(engine).plan(None, [a_spec()], priority=0, due=None, submitted_by="mara")
    migrate(engine)
    assert len(Ledger(engine).waiting()) == 1
    engine.dispose()
    assert caplog.records == [] and capfd.readouterr() == ("", "")


def test_a_database_of_a_newer_program_is_left_alone(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"revision 9999.*use the newer program"):
        migrate(engine)
    engine.dispose()


def test_migrations_are_found_wherever_the_program_is_started(tmp_path: Path) -> None:
    code = "from storage.database import *; migrate(open_database('sqlite:///here/x.db'))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["x.db"]


@pytest.mark.servers
def test_postgresql_18_takes_the_same_schema() -> None:
    with servers.postgres(version=18) as url:
        engine = open_database(url)
        migrate(engine)
        ledger = Ledger(engine)
        ledger.plan(None, [a_spec()], priority=0, due=None, submitted_by="mara")
        assert len(ledger.claim([a_spec().digest], worker="a", seconds=60)) == 1
        engine.dispose()


def test_a_url_that_is_neither_is_refused() -> None:
    for url, said in (
        ("mysql://host/db", "got mysql; expected sqlite or postgresql"),
        ("nonsense", "no SQLAlchemy URL"),
        ("sqlite://", "expected a file"),
    ):
        with pytest.raises(SettingsError, match=said):
            open_database(url)


def test_an_error_of_the_driver_is_ours(tmp_path: Path) -> None:
    away = open_database(f"postgresql://dailies:secret@127.0.0.1:{servers.free_port()}/dailies")
    with pytest.raises(LedgerUnavailable) as raised:
        Ledger(away).waiting()
    assert "secret" not in str(raised.value)
    unmigrated = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(LedgerUnavailable, match="no such table"):
        Ledger(unmigrated).waiting()
    (tmp_path / "not a database").write_bytes(b"x" * 5000)
    with pytest.raises(LedgerError):
        Ledger(open_database(f"sqlite:///{tmp_path / 'not a database'}")).waiting()


def test_postgresql_that_goes_away_and_comes_back(ledger: Ledger) -> None:
    if ledger.engine.dialect.name == "sqlite":
        pytest.skip("SQLite is in the process")
    ledger.waiting()
    with ledger.engine.connect() as connection:  # as after a restart: every pooled connection is dead
        mine = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid != :mine AND datname = current_database()"
            ),
            {"mine": mine},
        )
    assert ledger.waiting() == []


def test_a_writer_waits_for_another_and_readers_for_nobody(sqlite_ledger: Ledger) -> None:
    second = threading.Thread(target=sqlite_ledger.start_night, args=("second",))
    with sqlite_ledger.writing("test") as session:
        session.execute(
            text("INSERT INTO nights (started_at, started_by, planned, totals) VALUES ('', 'first', 0, '{}')")
        )
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert sqlite_ledger.nights() == []
    second.join(20)
    with sqlite_ledger.reading() as session:
        assert session.scalars(text("SELECT started_by FROM nights ORDER BY id")).all() == ["first", "second"]
