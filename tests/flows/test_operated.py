"""What an operator asks: doctor, metrics with probes, migrations."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from typer.testing import CliRunner

from flows.__main__ import app
from flows.commands.doctor import examine, promises
from flows.commands.metrics import Monitor, make_server
from schemas.errors import LedgerError
from schemas.settings import ROOT
from storage.database import HEAD, migrate, open_database, prepare_database, read_revision
from storage.objects import FolderStore, Store
from tests.conftest import Stack
from tests.making import a_choice, a_spec, a_submission, kept, planned

NEXT = datetime(2030, 1, 2, 22, tzinfo=UTC)


@pytest.fixture
def local(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name, value in local_stack.environment.items():
        monkeypatch.setenv(name, value)
    return local_stack


def test_doctor_finds_a_sound_machine_sound(local: Stack) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    parts = {line["part"]: line["state"] for line in map(json.loads, result.output.splitlines())}
    assert set(parts) == {"versions", "database", "clock", "object store", "disk", "window", "search model", "prefect"}
    assert "wrong" not in parts.values() and result.exit_code == 0


def test_doctor_names_what_is_wrong_and_goes_on(local: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    settings = local.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    # the harness of other tests has set the server of this process
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        states = {examined.part: examined for examined in examine(settings)}
    assert {part for part, examined in states.items() if examined.state == "wrong"} == {"database", "clock", "prefect"}
    assert "does not answer" in states["prefect"].detail
    assert states["object store"].state == "ok"


def test_a_store_s_promises_are_tested(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_promises = promises(store)
    assert all(kept_promises.values()) and promises(store) == kept_promises
    if isinstance(store, FolderStore):
        return

    def put_object(**arguments: Any) -> Any:  # a server that knows nothing of these headers
        for name in ("IfNoneMatch", "ChecksumSHA256"):
            arguments.pop(name, None)
        return honest(**arguments)

    honest: Callable[..., Any] = store._client.put_object
    monkeypatch.setattr(store._client, "put_object", put_object)
    broken = {name for name, holds in promises(store).items() if not holds}
    assert broken == {"create-once (If-None-Match)", "checksum (x-amz-checksum-sha256)"}


def test_figures_and_probes(stack: Stack) -> None:
    ledger = stack.ledger
    kept(ledger, [a_spec(seed) for seed in range(3)])
    planned(ledger, [a_spec(seed) for seed in range(3, 8)], submission=a_submission("b.yaml", priority=5), priority=5)
    ledger.claim([a_spec(3).digest], worker="w", seconds=60)
    ledger.fail(a_spec(4).digest, cause="NotFinite", message="NaN", worker="w", night=None, max_attempts=1)
    ledger.decide(a_choice(a_spec(0), seconds=4.0), reviewer="Noor")
    scheduled: list[datetime | None] = [NEXT]
    monitor = Monitor(ledger, stack.store, next_start=lambda: scheduled[0])
    server = make_server(monitor, address="127.0.0.1", port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        page = urllib.request.urlopen(f"{url}/metrics").read().decode()
        seen = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }
        expected = {
            ("dailies_up", "database"): 1, ("dailies_up", "store"): 1, ("dailies_waiting", "5"): 4,
            ("dailies_set_aside",): 1, ("dailies_inbox",): 2, ("dailies_leases",): 1, ("dailies_made_day",): 3,
            ("dailies_failures_day", "NotFinite"): 1, ("dailies_decisions_day",): 1, ("dailies_review_seconds",): 4,
            ("dailies_stage_seconds", "denoise"): 1, ("dailies_gpu_seconds_day",): 3, ("dailies_batch_size",): 1,
            ("dailies_next_night_timestamp_seconds",): NEXT.timestamp(),
        }  # fmt: skip
        assert {key: seen[key] for key in expected} == expected
        assert json.load(urllib.request.urlopen(f"{url}/readyz"))["ok"]
        monitor._asked, scheduled[0] = None, None
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/readyz")
        assert refused.value.code == 503 and b"no night is scheduled" in refused.value.read()
        assert urllib.request.urlopen(f"{url}/healthz").status == 200
        dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
        asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
        assert {name for name, *_ in seen} - {"dailies_up"} <= set(asked.replace("(", " ").split()) | {"dailies_up"}
    finally:
        server.shutdown()
        server.server_close()


def test_an_old_database_stops_ordinary_commands_of_a_studio(database_url: str) -> None:
    engine = open_database(database_url)
    prepare_database(engine)  # an empty one is made
    with engine.begin() as connection:  # HEAD's tables under an older number: nothing but the number is read
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    if engine.dialect.name == "postgresql":
        with pytest.raises(LedgerError, match=r"at revision 0001.*dailies migrate"):
            prepare_database(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refused in (prepare_database, migrate, read_revision):
        with pytest.raises(LedgerError, match="there is no downgrade"):
            refused(engine)
    engine.dispose()


def test_migrate_says_where_the_database_is(local: Stack) -> None:
    assert CliRunner().invoke(app, ["migrate"]).output == f"the database is at revision {HEAD}\n"
