"""Delivery: names, sidecars, and nothing written twice, half, or over another's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import LedgerError, NameCollision, ObjectDamaged, ObjectMissing, StoreError
from schemas.manifest import Manifest
from schemas.review import Verdict
from schemas.settings import ImageFormat
from schemas.spec import ImageSpec
from storage.ledger import Ledger
from storage.objects import FolderStore, Store
from storage.pictures import encode, read_spec
from tasks.delivery import deliver as delivery
from tasks.delivery.deliver import Delivered, deliver
from tasks.delivery.names import LONGEST, make_safe_name
from tests import making
from tests.conftest import Stack


def manifest(*assets: str, name: str = "T_{Asset}_{Variant}_BC.png", **fields: object) -> Manifest:
    body = {
        "project": "Potion Shop",
        "model": "studio-tiny",
        "delivery": {"name": name, "licence": "all rights reserved"},
        "assets": [{"name": asset, "prompt": "x"} for asset in assets],
    }
    return Manifest.model_validate({**body, **fields})


def spec(asset: str = "red potion", seed: int = 1, **fields: object) -> ImageSpec:
    return making.a_spec(seed, project="Potion Shop", asset=asset, **fields)


def approved(
    ledger: Ledger, store: Store, specs: list[ImageSpec], said: Manifest, *, image_format: ImageFormat = "png"
) -> dict[str, bytes]:
    """Made, kept with real bytes, and approved by Rita; spec digest -> the file's bytes."""
    made = {}
    keepings = []
    for one in specs:
        pixels = np.full((64, 64, 3), one.seed % 256, np.uint8)
        file = encode(pixels, one, image_format=image_format)
        key = store.put_content("images", file.data, extension=file.extension, media_type=file.media_type)
        sha256 = hashlib.sha256(file.data).hexdigest()
        image = making.an_image(one, object_key=key, sha256=sha256, media_type=file.media_type)
        keepings.append(making.a_keeping(one, image=image))
        made[one.digest] = file.data
    body = said.model_dump(mode="json")
    making.planned(ledger, specs, submission=making.a_submission(making.sha(str(body))[:8], body=body))
    ledger.keep_many(keepings)
    for one in specs:
        ledger.decide(making.a_choice(one, note="lovely"), reviewer="rita")
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_approved_images_leave_under_their_names_with_their_sidecars(stack: Stack, tmp_path: Path) -> None:
    ledger, store = stack.ledger, stack.store
    one, other = spec(seed=1), spec("blue potion", seed=2)
    made = approved(ledger, store, [one, other], manifest("red potion", "blue potion"))
    done = deliver(ledger, store, folder=tmp_path / "game")
    assert done.names == ("Potion_Shop/T_BluePotion_S2_BC.png", "Potion_Shop/T_RedPotion_S1_BC.png")
    for name, asked in zip(done.names, (other, one), strict=True):
        assert store.get(f"delivery/{name}") == made[asked.digest] == (tmp_path / "game" / name).read_bytes()
        assert read_spec((tmp_path / "game" / name).read_bytes()) == asked
        said = json.loads(store.get(f"delivery/{name}.json"))
        assert (tmp_path / "game" / f"{name}.json").read_bytes() == store.get(f"delivery/{name}.json")
        assert said["digest"] == asked.digest
        assert said["sha256"] == hashlib.sha256(made[asked.digest]).hexdigest()
        assert (said["seed"], said["prompt"], said["parent"]) == (asked.seed, asked.prompt, None)
        assert said["models"] == {"studio-tiny": "0" * 64}
        assert (said["decision"]["reviewer"], said["decision"]["verdict"]) == ("rita", "approve")
        assert said["decision"]["note"] == "lovely" and said["decision"]["decided_at"].endswith("+00:00")
        assert said["licence"] == "all rights reserved"
        assert ImageSpec.model_validate(said["spec"]) == asked
        (row,) = [row for row in ledger.deliveries() if row.name == name]
        assert row.image == asked.digest and row.sidecar == f"delivery/{name}.json"
        assert said["manifest"]["digest"] in {row.digest for row in ledger.submissions()}


def test_derived_maps_leave_beside_their_texture_and_are_labelled(stack: Stack, tmp_path: Path) -> None:
    wall = {"name": "brick wall", "kind": "texture", "prompt": "x", "sources": "a.png", "maps": ["normal_gl", "height"]}
    said = manifest(assets=[wall, {"name": "red potion", "prompt": "x"}])
    both = [spec("brick wall", kind="texture", source="5" * 64, strength=0.5, seamless="xy"), spec(seed=2)]
    approved(stack.ledger, stack.store, both, said)
    done = deliver(stack.ledger, stack.store, folder=tmp_path / "game")
    assert done.names == ("Potion_Shop/T_BrickWall_S1_BC.png", "Potion_Shop/T_RedPotion_S2_BC.png")
    maps = {"normal_gl": "Potion_Shop/T_BrickWall_S1_N.png", "height": "Potion_Shop/T_BrickWall_S1_H.png"}
    sidecar = json.loads(stack.store.get(f"delivery/{done.names[0]}.json"))
    assert {one["kind"]: one["name"] for one in sidecar["maps"]} == maps
    assert all(one["derived"] is True for one in sidecar["maps"])
    assert json.loads(stack.store.get(f"delivery/{done.names[1]}.json"))["maps"] == []
    for name in maps.values():
        assert b"Derived" in stack.store.get(f"delivery/{name}") == (tmp_path / "game" / name).read_bytes()
    assert len(list(stack.store.keys("delivery"))) == 6
    assert deliver(stack.ledger, stack.store, folder=tmp_path / "game").names == ()


def test_a_map_s_name_that_is_taken_is_a_collision(local_stack: Stack) -> None:
    wall = {"name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png", "maps": ["height"]}
    other = {"name": "brick H", "prompt": "x", "delivery_name": "T_Brick_S1_H.png"}
    made = [spec("brick", kind="texture", source="5" * 64, strength=0.5), spec("brick H", seed=2)]
    approved(local_stack.ledger, local_stack.store, made, manifest(assets=[wall, other]))
    done = deliver(local_stack.ledger, local_stack.store)
    assert len(done.failures) == 2 and all("T_Brick_S1_H.png" in str(failure) for failure in done.failures)
    assert not list(local_stack.store.keys("delivery"))


def test_doing_it_again_changes_nothing(stack: Stack, tmp_path: Path) -> None:
    ledger, store = stack.ledger, stack.store
    approved(ledger, store, [spec(seed=1), spec(seed=2)], manifest("red potion"))
    assert len(deliver(ledger, store, folder=tmp_path / "game").names) == 2
    first = (
        files(tmp_path / "game"),
        sorted(store.keys("delivery")),
        [vars(row)["delivered_at"] for row in ledger.deliveries()],
    )
    again = deliver(ledger, store, folder=tmp_path / "game")
    assert (again.names, again.before) == ((), 2)
    assert first == (
        files(tmp_path / "game"),
        sorted(store.keys("delivery")),
        [vars(row)["delivered_at"] for row in ledger.deliveries()],
    )
    assert not [name for name in files(tmp_path / "game") if name.endswith(".part")]


def test_only_what_stands_approved_leaves(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    specs = [spec(seed=seed) for seed in range(4)]
    approved(ledger, store, specs, manifest("red potion"))
    ledger.decide(making.a_choice(specs[1], Verdict.UNDO, revision=1), reviewer="rita")
    ledger.decide(making.a_choice(specs[2], Verdict.UNDO, revision=1), reviewer="rita")
    ledger.decide(making.a_choice(specs[2], Verdict.REJECT, revision=2), reviewer="rita")
    assert deliver(ledger, store, project="another").names == ()
    assert {row.image for row in ledger.deliveries()} == set()
    assert deliver(ledger, store, project="Potion Shop").names == tuple(
        f"Potion_Shop/T_RedPotion_S{seed}_BC.png" for seed in (0, 3)
    )


def only_failure(done: Delivered, one: ImageSpec) -> str:
    """What was said of the only image that did not leave; it names project, asset and digest."""
    (failure,) = done.failures
    assert (failure.project, failure.asset, failure.digest) == (one.project, one.asset, one.digest)
    assert str(failure).startswith(f"{one.project} / {one.asset} {one.variant} (image {one.digest[:12]}): ")
    return str(failure)


def test_two_of_one_name_stay_and_the_others_leave(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    one, other, third = spec(seed=1), spec("RED-potion", seed=2, variant="S1"), spec("green", seed=3)
    approved(ledger, store, [third, one, other], manifest("red potion", "RED-potion", "green"))
    done = deliver(ledger, store)
    assert done.names == ("Potion_Shop/T_Green_S3_BC.png",) and done.exit_code == 2
    assert {failure.digest for failure in done.failures} == {one.digest, other.digest}
    assert all(isinstance(failure.error, NameCollision) for failure in done.failures)
    said = {failure.digest: str(failure) for failure in done.failures}
    assert other.digest[:12] in said[one.digest] and one.digest[:12] in said[other.digest]
    assert sorted(store.keys("delivery")) == [f"delivery/{done.names[0]}", f"delivery/{done.names[0]}.json"]
    assert len(deliver(ledger, store, template="{Asset}_{digest}.png").names) == 2, "the way out that it names"


def test_a_name_that_another_needs_as_a_folder_is_a_collision(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    assets = [
        {"name": "Foo", "prompt": "x", "delivery_name": "{Asset}.png"},
        {"name": "Bar", "prompt": "x", "delivery_name": "Foo.png/{Asset}.png"},
        {"name": "Baz", "prompt": "x", "delivery_name": "qux.PNG.json/{Asset}.png"},
        {"name": "Qux", "prompt": "x", "delivery_name": "{Asset}.png"},
        {"name": "Free", "prompt": "x", "delivery_name": "{Asset}.png"},
    ]
    made = [spec(str(asset["name"]), seed=seed) for seed, asset in enumerate(assets)]
    approved(ledger, store, made, manifest(assets=assets))
    done = deliver(ledger, store)
    assert done.names == ("Potion_Shop/Free.png",)
    assert {failure.asset for failure in done.failures} == {"Foo", "Bar", "Baz", "Qux"}
    assert len(list(store.keys("delivery"))) == 2, "nothing of them was written"


def test_a_collision_in_one_project_holds_up_no_other(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    approved(
        ledger, store, [spec(seed=1), spec("RED-potion", seed=2, variant="S1")], manifest("red potion", "RED-potion")
    )
    other = making.a_spec(3, project="Castle", asset="gate")
    approved(ledger, store, [other], manifest("gate", project="Castle"))
    done = deliver(ledger, store)
    assert done.names == ("Castle/T_Gate_S3_BC.png",) and len(done.failures) == 2


def test_an_earlier_delivery_keeps_its_name(local_stack: Stack) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    approved(ledger, store, [spec(seed=1)], manifest("red potion"))
    (name,) = deliver(ledger, store).names
    late = spec("RED-potion", seed=2, variant="s1")
    approved(ledger, store, [late], manifest("RED-potion"))
    said = only_failure(deliver(ledger, store), late)
    assert f"{name}, delivered as image {spec(seed=1).digest[:12]}" in said
    assert [row.name for row in ledger.deliveries()] == [name]


@pytest.mark.parametrize("what", ["image", "sidecar"])
@pytest.mark.parametrize("where", ["store", "folder"])
def test_a_file_of_somebody_else_is_never_replaced(local_stack: Stack, tmp_path: Path, where: str, what: str) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    approved(ledger, store, [spec(seed=0), spec(seed=1)], manifest("red potion"))
    name = "Potion_Shop/T_RedPotion_S1_BC.png" + (".json" if what == "sidecar" else "")
    if where == "store":
        store.put_once(f"delivery/{name}", b"[]", media_type="image/png")
    else:
        (tmp_path / "game" / name).parent.mkdir(parents=True)
        (tmp_path / "game" / name).write_bytes(b"[]")
    done = deliver(ledger, store, folder=tmp_path / "game")
    assert "another file lies already" in only_failure(done, spec(seed=1))
    there = store.get(f"delivery/{name}") if where == "store" else (tmp_path / "game" / name).read_bytes()
    assert there == b"[]" and done.names == ("Potion_Shop/T_RedPotion_S0_BC.png",)
    assert len([*store.keys("delivery"), *files(tmp_path / "game")]) == 7, "and theirs, and the index in two forms"


def test_damaged_missing_and_replaced_bytes_do_not_leave(stack: Stack) -> None:
    ledger, store = stack.ledger, stack.store
    flipped, missing, replaced, twin, sound = specs = [spec(seed=seed) for seed in range(5)]
    made = approved(ledger, store, specs, manifest("red potion"))
    keys = {one.digest: ledger.picture(one.digest).image.object_key for one in specs}
    bytes_ = bytearray(made[flipped.digest])
    bytes_[-20] ^= 1
    making.overwrite(store, keys[flipped.digest], bytes(bytes_))
    making.overwrite(store, keys[missing.digest], None)
    making.overwrite(store, keys[replaced.digest], made[twin.digest])
    done = deliver(ledger, store)
    assert {failure.digest: type(failure.error) for failure in done.failures} == {
        flipped.digest: ObjectDamaged,
        missing.digest: ObjectMissing,
        replaced.digest: ObjectDamaged,
    }
    assert done.exit_code == 1 and {row.image for row in ledger.deliveries()} == {twin.digest, sound.digest}
    assert len(list(store.keys("delivery"))) == 4
    # What is mended leaves the next time.
    making.overwrite(store, keys[flipped.digest], made[flipped.digest])
    assert deliver(ledger, store).names == ("Potion_Shop/T_RedPotion_S0_BC.png",)


@pytest.mark.parametrize("what", ["directory", "pipe", "link", "linked folder", "file for a folder"])
def test_whatever_lies_at_the_target_holds_up_that_image_only(local_stack: Stack, tmp_path: Path, what: str) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    assets = [{"name": "odd", "prompt": "x", "delivery_name": "Sub/{Asset}.png"}, {"name": "red potion", "prompt": "x"}]
    odd, plain = spec("odd", seed=1), spec(seed=2)
    approved(ledger, store, [odd, plain], manifest(assets=assets))
    target = tmp_path / "game" / "Potion_Shop" / "Sub" / "Odd.png"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target.parent.parent.mkdir(parents=True)
    match what:
        case "directory":
            target.mkdir(parents=True)
        case "pipe":
            target.parent.mkdir()
            os.mkfifo(target)
        case "link":
            target.parent.mkdir()
            target.symlink_to(elsewhere / "x.png")
        case "linked folder":
            target.parent.symlink_to(elsewhere)
        case "file for a folder":
            target.parent.write_bytes(b"theirs")
    done = deliver(ledger, store, folder=tmp_path / "game")
    assert "Sub" in only_failure(done, odd)
    assert done.names == ("Potion_Shop/T_RedPotion_S2_BC.png",) and not list(elsewhere.iterdir())


def test_a_linked_project_folder_is_refused(local_stack: Stack, tmp_path: Path) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion"))
    (tmp_path / "game").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "game" / "Potion_Shop").symlink_to(tmp_path / "elsewhere")
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game")
    assert "symbolic link" in only_failure(done, spec()) and not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("what", ["directory", "pipe", "file for a folder"])
def test_whatever_lies_in_the_object_folder_holds_up_that_image_only(local_stack: Stack, what: str) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    assert isinstance(store, FolderStore)
    assets = [{"name": "odd", "prompt": "x", "delivery_name": "Sub/{Asset}.png"}, {"name": "red potion", "prompt": "x"}]
    odd = spec("odd", seed=1)
    approved(ledger, store, [odd, *(spec(seed=seed) for seed in (2, 3, 4, 5))], manifest(assets=assets))
    path = store.root / "delivery" / "Potion_Shop" / "Sub" / "Odd.png"
    path.parent.parent.mkdir(parents=True)
    if what == "file for a folder":
        path.parent.write_bytes(b"theirs")
    else:
        path.parent.mkdir()
        path.mkdir() if what == "directory" else os.mkfifo(path)
    done = deliver(ledger, store)
    assert isinstance(done.failures[0].error, StoreError) and only_failure(done, odd)
    assert len(done.names) == 4


def test_names_of_signs_and_of_many_letters_are_names(local_stack: Stack, tmp_path: Path) -> None:
    """Kanji take three bytes each, and file systems count bytes."""
    long, longer = "漢" * 80, "漢" * 79 + "字"
    assets = [{"name": name, "prompt": "x", "delivery_name": "{asset}.png"} for name in ("___", long, longer)]
    specs = [spec(name, seed=seed) for seed, name in enumerate(("___", long, longer))]
    approved(local_stack.ledger, local_stack.store, specs, manifest(assets=assets))
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game")
    assert done.failures == () and "Potion_Shop/_.png" in done.names and len(set(done.names)) == 3
    assert len([name for name in files(tmp_path / "game") if name.endswith(".png")]) == 3


class _Cut(Exception):
    pass


@pytest.mark.parametrize("point", ["deliver.after_bytes", "deliver.after_sidecar", "deliver.after_folder"])
def test_a_delivery_that_was_cut_off_goes_on(
    local_stack: Stack, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an approval that was taken back and given again meanwhile does not stand in its way."""
    ledger, store = local_stack.ledger, local_stack.store
    one = spec(seed=1)
    approved(ledger, store, [one, spec(seed=2)], manifest("red potion"))

    def cut(name: str) -> None:
        if name == point:
            raise _Cut

    with monkeypatch.context() as patch, pytest.raises(_Cut):
        patch.setattr(delivery, "failpoint", cut)
        deliver(ledger, store, folder=tmp_path / "game")
    assert not ledger.deliveries()
    ledger.decide(making.a_choice(one, Verdict.UNDO, revision=1), reviewer="rita")
    ledger.decide(making.a_choice(one, revision=2, note="on second thoughts"), reviewer="rita")
    assert len(deliver(ledger, store, folder=tmp_path / "game").names) == 2
    rows = ledger.deliveries()
    assert [json.loads(store.get(row.sidecar))["decision"]["revision"] for row in rows] == [3, 1]


def test_the_ending_is_that_of_the_file(local_stack: Stack) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion"), image_format="webp")
    (name,) = deliver(local_stack.ledger, local_stack.store).names
    assert name.endswith("T_RedPotion_S1_BC.webp")


def test_templates_can_make_folders(local_stack: Stack) -> None:
    said = manifest("red potion", name="{tier}/{asset}/{width}x{height}_{take}_{seed}.png")
    approved(local_stack.ledger, local_stack.store, [spec(seed=7)], said)
    assert deliver(local_stack.ledger, local_stack.store).names == ("Potion_Shop/final/red_potion/64x64_1_7.png",)


def test_an_approval_taken_back_while_delivering_is_not_recorded(
    local_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec()
    approved(local_stack.ledger, local_stack.store, [one], manifest("red potion"))

    def meanwhile(name: str) -> None:
        if name == "deliver.after_bytes":
            local_stack.ledger.decide(making.a_choice(one, Verdict.UNDO, revision=1), reviewer="rita")

    monkeypatch.setattr(delivery, "failpoint", meanwhile)
    done = deliver(local_stack.ledger, local_stack.store)
    assert isinstance(done.failures[0].error, LedgerError) and "does not stand" in only_failure(done, one)
    assert not local_stack.ledger.deliveries()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("CON", "_CON"),
        ("nul.v2", "_nul.v2"),
        ("Potion Shop", "Potion_Shop"),
        ("a..", "a"),
        ("..", "_"),
        ("Ü b:c", "Ü_b_c"),
    ],
)
def test_names_that_a_system_would_refuse_are_made_safe(part: str, name: str) -> None:
    assert make_safe_name(part) == name


@given(st.text(max_size=200))
def test_every_name_is_safe_and_stays_safe(text: str) -> None:
    name = make_safe_name(text)
    assert name and not set(name) & set('<>:"/\\|?* ') and name.isprintable()
    assert not name.startswith(".") and not name.endswith((".", " ")) and len(name.encode()) <= LONGEST
    assert make_safe_name(name) == name
