"""What left is shown in Kitsu: once, again after a failure, and never at the cost of a delivery."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import SettingsError
from schemas.review import Verdict
from schemas.settings import KitsuSettings
from tasks.delivery import publish as publishing
from tasks.delivery.deliver import deliver
from tasks.delivery.publish import Published, open_kitsu, publish_delivered, read_statuses
from tests import making
from tests.conftest import Stack
from tests.kitsu_server import TOKEN, FakeKitsu, serving
from tests.tasks.test_deliver import approved, manifest, spec


@pytest.fixture
def kitsu() -> Iterator[FakeKitsu]:
    with serving() as server:
        yield server


def settings(kitsu: FakeKitsu, **fields: Any) -> KitsuSettings:
    return KitsuSettings(url=kitsu.url, token=SecretStr(TOKEN), **fields)


def leave(stack: Stack, seeds: range, **rules: Any) -> tuple[str, ...]:
    specs = [spec("red potion" if seed % 2 else "blue potion", seed) for seed in seeds]
    approved(stack.ledger, stack.store, specs, manifest("red potion", "blue potion", delivery=rules))
    done = deliver(stack.ledger, stack.store)
    assert done.failures == ()
    return done.names


def show(stack: Stack, said: KitsuSettings) -> Published:
    published = publish_delivered(stack.ledger, stack.store, said, project=None)
    assert published is not None
    return published


def state(kitsu: FakeKitsu) -> dict[str, int]:
    return {name: len(entries) for name, entries in kitsu.tables.items()} | {"uploads": len(kitsu.uploads)}


def test_each_image_is_a_preview_at_its_assets_task_which_gets_the_status(local_stack: Stack, kitsu: FakeKitsu) -> None:
    names = leave(local_stack, range(1, 5))
    assert show(local_stack, settings(kitsu)) == Published(tuple(sorted(names)), 0, ())
    assert state(kitsu) == {
        "projects": 1, "entity-types": 1, "task-types": 1, "assets": 2, "tasks": 2, "task-status": 3, "comments": 4,
        "preview-files": 4, "uploads": 4,
    }  # fmt: skip
    (project,) = kitsu.tables["projects"]
    assert project["name"] == "Potion Shop" and {one["name"] for one in kitsu.tables["assets"]} == {
        "red potion", "blue potion",
    }  # fmt: skip
    waiting = next(one["id"] for one in kitsu.tables["task-status"] if one["short_name"] == "wfa")
    assert {one["task_status_id"] for one in kitsu.tables["tasks"]} == {waiting}
    sent = set(kitsu.uploads.values())
    assert sent == {local_stack.store.get(f"delivery/{name}") for name in names}, "as delivered, byte for byte"
    for comment in kitsu.tables["comments"]:
        (row,) = [row for row in local_stack.ledger.deliveries() if f"dailies:image {row.image}" in comment["text"]]
        task = kitsu.one("tasks", comment["object_id"])
        asset = kitsu.one("assets", task["entity_id"]) if task else None
        assert asset is not None and asset["name"] == row.asset


def test_again_asks_nothing_and_what_is_there_is_used(local_stack: Stack, kitsu: FakeKitsu) -> None:
    mine = kitsu.add("projects", name="Potions II")
    props = kitsu.add("entity-types", name="Icons")
    art = kitsu.add("task-types", name="2D", for_entity="Asset")
    icon = kitsu.add("assets", name="red potion", project_id=mine["id"], entity_type_id=props["id"])
    task = kitsu.add("tasks", name="main", task_type_id=art["id"], entity_id=icon["id"], task_status_id="x")
    said = settings(
        kitsu, projects={"Potion Shop": "Potions II"}, asset_type="Icons", task_type="2D", status="retake", create=False
    )
    leave(local_stack, range(1, 2))
    assert show(local_stack, said).problems == ()
    assert [one["object_id"] for one in kitsu.tables["comments"]] == [task["id"]]
    before, asked = state(kitsu), len(kitsu.asked)
    assert show(local_stack, said) == Published((), 1, ()) and (state(kitsu), len(kitsu.asked)) == (before, asked)
    leave(local_stack, range(2, 3))
    (problem,) = show(local_stack, said).problems
    assert "got the asset 'blue potion'; expected one that is in Kitsu, or `create = true`" in problem


class _Cut(Exception):
    pass


@pytest.mark.parametrize("point", ["kitsu.after_comment", "kitsu.after_preview", "kitsu.after_upload"])
def test_a_run_that_was_cut_off_publishes_nothing_twice(
    local_stack: Stack, kitsu: FakeKitsu, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = leave(local_stack, range(1, 2))

    def cut(name: str) -> None:
        if name == point:
            raise _Cut

    with monkeypatch.context() as patch, pytest.raises(_Cut):
        patch.setattr(publishing, "failpoint", cut)
        show(local_stack, settings(kitsu))
    assert show(local_stack, settings(kitsu)).names == names
    assert (state(kitsu)["comments"], state(kitsu)["preview-files"], state(kitsu)["uploads"]) == (1, 1, 1)
    assert sum(asked.startswith("POST pictures/") for asked in kitsu.asked) == 1


@pytest.mark.parametrize("status", [500, 401, 302, 400])
@pytest.mark.parametrize("step", ["GET data/projects", "POST data/tasks", "POST actions/", "POST pictures/"])
def test_its_failure_is_said_and_made_good_by_the_next_delivery(
    local_stack: Stack, kitsu: FakeKitsu, step: str, status: int
) -> None:
    names = leave(local_stack, range(1, 4))
    kitsu.refuse = lambda asked: status if asked.startswith(step) else None
    failed = show(local_stack, settings(kitsu))
    assert failed.names == () and f"got HTTP {status}; expected 2xx" in failed.problems[0]
    assert len(failed.problems) == (3 if status == 400 else 1)
    assert len(local_stack.ledger.deliveries()) == 3, "nothing of the delivery is undone"
    kitsu.refuse = lambda asked: None
    assert set(show(local_stack, settings(kitsu)).names) == set(names)
    assert state(kitsu)["comments"] == state(kitsu)["preview-files"] == state(kitsu)["uploads"] == 3


def test_a_server_that_is_away_and_a_wrong_token_are_said_without_the_token(
    local_stack: Stack, kitsu: FakeKitsu, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    leave(local_stack, range(1, 3))
    away = KitsuSettings(url="http://127.0.0.1:1/api", token=SecretStr(TOKEN))
    (problem,) = show(local_stack, away).problems
    assert "ConnectError; 2 wait for the next delivery" in problem
    wrong = KitsuSettings(url=kitsu.url, token=SecretStr("wrong"))
    (problem,) = show(local_stack, wrong).problems
    assert "got HTTP 401" in problem
    show(local_stack, settings(kitsu))
    assert TOKEN not in caplog.text and TOKEN not in repr(settings(kitsu)) and TOKEN not in problem
    assert publish_delivered(local_stack.ledger, local_stack.store, KitsuSettings(), project=None) is None
    half = show(local_stack, KitsuSettings(url=kitsu.url))
    assert half.problems == ("kitsu: got url without token; expected both",)


def test_what_is_no_kitsu_is_refused_in_words(local_stack: Stack, kitsu: FakeKitsu) -> None:
    leave(local_stack, range(1, 2))
    (problem,) = show(local_stack, settings(kitsu, status="nonsense")).problems
    assert "kitsu.status: got 'nonsense'; expected one of: retake, todo, wfa" in problem
    kitsu.tables["task-status"] = [{"name": "no id"}]
    assert "got an answer without an id" in show(local_stack, settings(kitsu)).problems[0]


def test_formats_that_kitsu_does_not_show_are_sent_as_png_without_what_must_stay(
    local_stack: Stack, kitsu: FakeKitsu
) -> None:
    leave(local_stack, range(7, 8), format="exr", metadata="label")
    assert show(local_stack, settings(kitsu)).problems == ()
    (data,) = kitsu.uploads.values()
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG" and picture.convert("RGB").getpixel((3, 3)) == (7, 7, 7)
    assert b"trainedAlgorithmicMedia" in data and b"parameters" not in data


def test_what_was_withdrawn_since_is_not_shown(local_stack: Stack, kitsu: FakeKitsu) -> None:
    leave(local_stack, range(1, 2))
    local_stack.ledger.decide(making.a_choice(spec(), verdict=Verdict.REJECT, revision=1), reviewer="rita")
    assert show(local_stack, settings(kitsu)) == Published() and kitsu.asked == []


def test_statuses_are_read_and_decide_nothing(
    local_stack: Stack, kitsu: FakeKitsu, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = leave(local_stack, range(1, 2))
    show(local_stack, settings(kitsu))
    (task,) = kitsu.tables["tasks"]
    task["task_status_id"] = next(one["id"] for one in kitsu.tables["task-status"] if one["short_name"] == "retake")
    opened = open_kitsu(settings(kitsu))
    assert opened is not None
    (row,) = read_statuses(local_stack.ledger, local_stack.store, opened)
    assert (row["file"], row["status"]) == (name, "Retake")
    assert local_stack.ledger.deliveries(withdrawn=True) == []
    runner = CliRunner()
    for variable, value in local_stack.environment.items():
        monkeypatch.setenv(variable, value)
    assert isinstance(runner.invoke(app, ["kitsu"]).exception, SettingsError)
    monkeypatch.setenv("DAILIES_KITSU__URL", kitsu.url)
    monkeypatch.setenv("DAILIES_KITSU__TOKEN", TOKEN)
    done = runner.invoke(app, ["kitsu"])
    assert done.exit_code == 0 and name in done.output and "Retake" in done.output
    again = runner.invoke(app, ["deliver"])
    assert again.exit_code == 0 and "Kitsu: 0 published, 1 had been before" in again.output
    kitsu.refuse = lambda asked: 500
    approved(local_stack.ledger, local_stack.store, [spec(seed=9)], manifest("red potion"))
    failed = runner.invoke(app, ["deliver"])
    assert failed.exit_code == 0 and "1 delivered" in failed.output and "not published: " in failed.output
