"""The index says what lies there, whatever step a delivery was killed at; and a folder can be filled later on."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from schemas.review import Verdict
from schemas.settings import Settings
from storage import objects
from storage.ledger import outcomes
from storage.objects import Store
from storage.provenance import make_authority, open_signer, read_credentials
from tasks.delivery import copying, index, target
from tasks.delivery import deliver as delivery
from tasks.delivery.copying import copy_delivered
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.parts import open_parts
from tests import making
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, files, manifest, spec

WALL = {
    "name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png", "maps": ["height", "normal_gl"],
}  # fmt: skip


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    folder = tmp_path_factory.mktemp("studio")
    make_authority(folder, studio="Potion Shop")
    return Signing(open_signer(certificate=None, key=None, home=folder), is_required=True)


def make_two(stack: Stack, **delivery: object) -> None:
    """A texture with two maps, and a potion; both approved."""
    both = [spec("brick", kind="texture", source="5" * 64, strength=0.5), spec(seed=2)]
    assets = [WALL, {"name": "red potion", "prompt": "x"}]
    approved(stack.ledger, stack.store, both, manifest(assets=assets, delivery=delivery))


def check_index(folder: Path) -> dict[str, Any]:
    """Every file that it names lies there with its hash, and nothing else but sidecars and itself; returns it."""
    body: dict[str, Any] = json.loads((folder / "Potion_Shop" / "delivery.json").read_bytes())
    named = {file["name"]: file for image in body["images"] for file in image["files"]}
    there = files(folder)
    for name, file in named.items():
        assert hashlib.sha256(there[name]).hexdigest() == file["sha256"] and len(there[name]) == file["bytes"]
    sidecars = {f"{image['name']}.json" for image in body["images"]}
    assert there.keys() == named.keys() | sidecars | {"Potion_Shop/delivery.json", "Potion_Shop/delivery.csv"}
    rows = list(csv.DictReader(io.StringIO((folder / "Potion_Shop" / "delivery.csv").read_text("utf-8-sig"))))
    assert {row["file"]: row["sha256"] for row in rows} == {name: file["sha256"] for name, file in named.items()}
    return body


class _Cut(BaseException):
    """As SIGKILL: no handler of ours sees it."""


def killed(home: Path, folder: Path, *, signing: Signing, at: int) -> bool:
    """Delivers in another process, which is killed at its `at`-th step; False when it came through before."""
    child = os.fork()
    if child == 0:
        try:
            steps = itertools.count(1)

            def die(_: str) -> None:
                if next(steps) == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            for module in (delivery, index, target, objects, outcomes):
                module.failpoint = die  # type: ignore[attr-defined]
            parts = open_parts(Settings(home=home))
            deliver(parts.ledger, parts.store, folder=folder, signing=signing)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "it failed by itself"
    return False


@pytest.mark.parametrize("is_signed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_killed_at_every_step_and_run_again(
    local_stack: Stack, signing: Signing, tmp_path: Path, is_signed: bool
) -> None:
    """SIGKILL at the first step, at the second, at every one; each time on a studio where nothing had left."""
    make_two(local_stack, preset="unreal", engine_files=True)
    local_stack.ledger.engine.dispose()
    signing = signing if is_signed else Signing()
    for step in itertools.count(1):
        home, folder = tmp_path / f"home{step}", tmp_path / f"game{step}"
        shutil.copytree(local_stack.settings.home, home)
        was_killed = killed(home, folder, signing=signing, at=step)
        for name, data in files(folder).items():
            if name.endswith(".png"):
                check_picture(data, signing=signing)
        parts = open_parts(Settings(home=home))
        done = deliver(parts.ledger, parts.store, folder=folder, signing=signing)
        assert done.failures == () and done.problems == () and len(done.names) + done.before == 2
        body = check_index(folder)
        assert [image["name"] for image in body["images"]] == [
            "Potion_Shop/T_Brick_S1_BC.png",
            "Potion_Shop/T_RedPotion_S2_BC.png",
        ]
        for name, data in files(folder).items():
            if name.endswith(".png"):
                check_picture(data, signing=signing)
                assert parts.store.get(f"delivery/{name}") == data
        parts.ledger.engine.dispose()
        if not was_killed:
            break
    assert step >= 40, "every write and record of two images, two maps and an index"


def check_picture(data: bytes, *, signing: Signing) -> None:
    read = read_credentials(data, media_type="image/png")
    assert (read is not None and read.is_sound) is (signing.signer is not None)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()


def test_a_folder_is_filled_later_and_what_was_withdrawn_is_left_out(
    local_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_two(local_stack)
    ledger, store = local_stack.ledger, local_stack.store
    assert len(deliver(ledger, store).names) == 2

    def cut(*_: object) -> None:
        raise _Cut

    with monkeypatch.context() as patch, pytest.raises(_Cut):
        patch.setattr(copying, "failpoint", cut)
        copy_delivered(tmp_path / "game", ledger=ledger, store=store)
    copied = copy_delivered(tmp_path / "game", ledger=ledger, store=store)
    assert (copied.written, copied.unchanged, copied.problems) == (5, 1, [])
    assert len(check_index(tmp_path / "game")["images"]) == 2
    assert copy_delivered(tmp_path / "game", ledger=ledger, store=store).written == 0

    ledger.decide(making.a_choice(spec(seed=2), Verdict.UNDO, revision=1), reviewer="rita")
    later = copy_delivered(tmp_path / "other", ledger=ledger, store=store)
    assert (later.withdrawn, later.written) == (1, 4) and not [
        name for name in files(tmp_path / "other") if "Red" in name
    ]
    body = json.loads((tmp_path / "other" / "Potion_Shop" / "delivery.json").read_bytes())
    assert {image["name"].rsplit("/", 1)[-1]: image["withdrawn"] for image in body["images"]} == {
        "T_Brick_S1_BC.png": False,
        "T_RedPotion_S2_BC.png": True,
    }


def test_the_index_reads_only_what_is_new(local_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    make_two(local_stack)
    deliver(ledger, store)
    approved(ledger, store, [spec("late", seed=9)], manifest("late"))
    read: list[str] = []
    get = store.get

    def get_and_note(self: object, key: str) -> bytes:
        read.append(key)
        return get(key)

    monkeypatch.setattr(type(store), "get", get_and_note)
    deliver(ledger, store)
    assert [key for key in read if key.endswith("BC.png.json")] == ["delivery/Potion_Shop/T_Late_S9_BC.png.json"]
    assert len(list(store.keys("indexes/"))) == 2


def test_another_s_file_in_the_place_of_the_index_is_told_and_stays(local_stack: Stack, tmp_path: Path) -> None:
    make_two(local_stack)
    (tmp_path / "Potion_Shop").mkdir()
    (tmp_path / "Potion_Shop" / "delivery.json").write_bytes(b"{}")
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path)
    assert len(done.names) == 2 and "another file lies" in str(done) and done.exit_code == 1
    assert (tmp_path / "Potion_Shop" / "delivery.json").read_bytes() == b"{}"


def last_index(store: Store) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(store.get(max(store.keys("indexes/"))))
    return body


def test_a_name_that_a_spreadsheet_would_run_is_text(local_stack: Stack) -> None:
    body = {"images": [{"asset": "=cmd()", "files": [{"name": "a.png", "sha256": "0"}]}]}
    assert b"'=cmd()" in index.make_csv(body)
    make_two(local_stack)
    deliver(local_stack.ledger, local_stack.store)
    assert last_index(local_stack.store)["schema"] == "dailies.delivery/1"
