"""The drill: a studio is backed up, lost, and restored elsewhere, or moved; beside a night, killed anywhere. Nothing is
missing and nothing is changed."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.comments import NewComment
from schemas.errors import LedgerError
from schemas.review import Verdict
from schemas.settings import Limits, Retention
from storage import failpoint
from storage.copying import TABLES, _reading, _take_fingerprint
from storage.database import migrate, open_database
from storage.ledger import Ledger
from storage.objects import FolderStore, Store
from tasks.copying import StudioCopy, make_backup, open_backup
from tasks.fsck import Fsck
from tasks.gc import GarbageCollection, put_back
from tests.conftest import Stack
from tests.making import a_choice, a_spec, a_submission, overwrite, planned
from tests.standings import keep, put, stock

ROOM = Retention(rejected_days=0, conditions_days=0, previews_days=0)


def everything(ledger: Ledger, store: Store) -> tuple[dict[str, tuple[int, int]], dict[str, bytes]]:
    """Fingerprints of all tables, and all objects with their bytes."""
    with _reading(ledger.engine) as connection:
        prints = {table.name: _take_fingerprint(connection, table) for table in TABLES}
    rows = {name: (one.rows, one.total) for name, one in prints.items()}
    return rows, {key: store.get(key) for key in store.keys("")}


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("DAILIES_HOME", "DAILIES_DATABASE_URL", "DAILIES_OBJECT_STORE", "DAILIES_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def fill(stack: Stack) -> None:
    """One image of each standing, a comment that names somebody, a night, and something in the trash."""
    specs = stock(stack.ledger, stack.store)
    image = next(stack.ledger.image_objects()).digest
    stack.ledger.comment(NewComment(image=image, text="@mara look", token="before01"), author="Ana")
    stack.ledger.end_night(stack.ledger.start_night("test"), outcome="complete", report_key=None, totals={"made": 7})
    removed = list(GarbageCollection(stack.ledger, stack.store, ROOM, remove=True, at=datetime.now(UTC)))
    assert {removal.kind for removal in removed} >= {"rejected", "preview"}
    assert specs


def work_on(ledger: Ledger, store: Store) -> None:
    """What a studio does next: numbers go on, the queue, the inbox and the trash are as they were."""
    spec = a_spec(99)
    manifest = put(store, "manifests", "project: more\n", "yaml")
    planned(ledger, [spec], submission=a_submission("more.yaml", object_key=manifest))
    keep(ledger, store, spec)
    ledger.decide(a_choice(spec, Verdict.REJECT), reviewer="Ana")
    said = ledger.comment(NewComment(image=spec.digest, text="@mara look again", token="after001"), author="Ana")
    assert said.id == 2 and [one.text for one in ledger.feed("mara")] == ["@mara look again", "@mara look"]
    night = ledger.start_night("test")
    ledger.end_night(night, outcome="complete", report_key=None, totals={})
    assert night == 2 and [decided.decision.reviewer for decided in ledger.decisions(limit=1)] == ["Ana"]
    (removed,) = [i.digest for i in ledger.image_objects() if i.removed_at is not None]
    put_back(ledger, store, removed, Limits())
    assert [str(trouble) for trouble in Fsck(ledger, store) if not trouble.note] == []


@pytest.mark.servers
@pytest.mark.parametrize("from_studio", [False, True], ids=["to the studio", "to one machine"])
def test_the_restore_drill(
    local_stack: Stack, studio_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_studio: bool
) -> None:
    """Also a move by way of a folder, from each kind of stack to the other."""
    old, new = (studio_stack, local_stack) if from_studio else (local_stack, studio_stack)
    fill(old)
    folder = tmp_path / "backup"
    use(monkeypatch, old.environment)
    done = CliRunner().invoke(app, ["backup", str(folder)])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"0 wrong; backed up to {folder}"), done.output
    before = everything(old.ledger, old.store)
    assert len(before[1]) > 20
    # 1. A second one copies what is new, and replaces the first when it is whole.
    planned(old.ledger, [a_spec(50)], submission=a_submission("new.yaml", object_key=put(old.store, "manifests", "n")))
    again = CliRunner().invoke(app, ["backup", str(folder)])
    assert again.output.startswith("1 objects, "), again.output
    before = everything(old.ledger, old.store)
    assert sorted(path.name for path in folder.iterdir()) == ["dailies.db", "objects"]
    # 2. The studio is lost. Its backup goes into what is there now.
    old.ledger.engine.dispose()
    for key in before[1]:
        overwrite(old.store, key, None)
    use(monkeypatch, new.environment)
    done = CliRunner().invoke(app, ["restore", str(folder)])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"0 wrong; restored from {folder}"), done.output
    assert everything(new.ledger, new.store) == before
    assert CliRunner().invoke(app, ["restore", str(folder)]).output.startswith("0 objects, "), "it was whole already"
    # 3. And work goes on.
    work_on(new.ledger, new.store)
    refused = CliRunner().invoke(app, ["restore", str(folder)])
    assert isinstance(refused.exception, LedgerError) and "holds other rows" in str(refused.exception)


@pytest.mark.servers
def test_a_move_from_one_machine_to_a_studio(
    local_stack: Stack, studio_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(local_stack)
    new = studio_stack.settings
    use(monkeypatch, local_stack.environment)
    words = ["move", "--to-database", new.database_url, "--to-store", new.object_store]
    words += ["--to-s3-endpoint-url", str(new.s3_endpoint_url)]
    night = local_stack.ledger.start_night("test", holder="elsewhere:1", seconds=60)
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, LedgerError) and f"night {night} is at work" in str(refused.exception)
    local_stack.ledger.end_night(night, outcome="complete", report_key=None, totals={})
    before = everything(local_stack.ledger, local_stack.store)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "0 wrong; moved; now set database_url and object_store" in done.output, done.output
    assert everything(studio_stack.ledger, studio_stack.store) == before
    assert everything(local_stack.ledger, local_stack.store) == before, "the old place is as it was"
    # The store alone, to a folder, with the database where it is.
    use(monkeypatch, studio_stack.environment)
    folder = local_stack.settings.home / "elsewhere"
    done = CliRunner().invoke(app, ["move", "--to-store", str(folder)])
    assert done.exit_code == 0 and ", 0 rows copied" in done.output, done.output
    assert everything(studio_stack.ledger, FolderStore(folder)) == before


@pytest.mark.parametrize(
    "point", ["copy.after_object", "copy.after_object:9", "copy.before_commit", "copy.after_commit"]
)
def test_a_move_that_is_killed_goes_on(local_stack: Stack, tmp_path: Path, point: str) -> None:
    fill(local_stack)
    before = everything(local_stack.ledger, local_stack.store)
    local_stack.ledger.engine.dispose()

    def copy() -> StudioCopy:
        target = Ledger(open_database(f"sqlite:///{tmp_path / 'new.db'}"))
        return StudioCopy(local_stack.ledger, local_stack.store, target, FolderStore(tmp_path / "new"))

    child = os.fork()
    if child == 0:
        os.environ[failpoint.VARIABLE] = point
        failpoint._rehearsed.cache_clear()
        list(copy())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    second = copy()
    assert [str(trouble) for trouble in second] == []
    assert everything(second.to_ledger, second.to_store) == before
    assert second.counts["objects"] < len(before[1]), "what was there is not copied again"


def test_a_backup_beside_a_night_is_of_one_moment(stack: Stack, tmp_path: Path) -> None:
    specs = [a_spec(seed) for seed in range(40)]
    planned(stack.ledger, specs, submission=a_submission(object_key=put(stack.store, "manifests", "m", "yaml")))
    ended, troubles = threading.Event(), list[BaseException]()

    def night() -> None:
        try:
            for spec in specs:
                keep(stack.ledger, stack.store, spec)
                stack.ledger.decide(a_choice(spec), reviewer="Noor")
        except BaseException as error:
            troubles.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=night)
    thread.start()
    made = []
    for number in range(50):
        folder, copy = tmp_path / "backup", list[StudioCopy]()
        assert [str(trouble) for trouble in make_backup(stack.ledger, stack.store, folder, copy, quick=False)] == []
        ledger, store = open_backup(folder)
        assert [str(trouble) for trouble in Fsck(ledger, store) if not trouble.note] == [], number
        made.append(ledger.count_rows()["images"])
        ledger.engine.dispose()
        if ended.is_set():
            break
    thread.join()
    assert troubles == [] and made == sorted(made) and len(made) >= 2


def test_what_is_wrong_is_named_and_the_rest_is_copied(local_stack: Stack, tmp_path: Path) -> None:
    specs = stock(local_stack.ledger, local_stack.store)
    image = local_stack.ledger.picture(specs["waiting"].digest).image
    overwrite(local_stack.store, image.object_key, b"rot")
    copy: list[StudioCopy] = []
    seen = list(make_backup(local_stack.ledger, local_stack.store, tmp_path / "backup", copy, quick=False))
    assert {trouble.kind for trouble in seen} == {"object damaged", "object missing"}
    assert {trouble.subject for trouble in seen} == {image.object_key}
    _, store = open_backup(tmp_path / "backup")
    assert set(local_stack.store.keys("")) - set(store.keys("")) == {image.object_key}


def test_what_is_refused(local_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, local_stack.environment)
    stock(local_stack.ledger, local_stack.store)

    def complaint(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exception is not None
        return str(result.exception)

    assert "expected one of them, or both" in complaint("move")
    assert "there is no backup" in complaint("restore", str(tmp_path / "none"))
    assert "lie in one another" in complaint("backup", str(local_stack.settings.home / "objects" / "backup"))
    # A database with other rows is left alone.
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    migrate(other)
    planned(Ledger(other), [a_spec(1)], submission=a_submission("x.yaml"))
    assert "holds other rows already" in complaint("move", "--to-database", f"sqlite:///{tmp_path / 'other.db'}")
