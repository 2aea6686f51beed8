"""What engines import delivered files with, read back as they would read it."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import ManifestError
from schemas.reading.manifest_file import read_manifest
from schemas.settings import Limits
from storage.pictures import ImageFormat
from tasks.delivery import deliver as delivery
from tasks.delivery.copying import copy_delivered
from tasks.delivery.deliver import deliver
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, manifest, spec
from tests.tasks.test_out_files import leave


def engine_of(left: dict[str, bytes], ending: str) -> dict[str, str]:
    """The picture or map -> what lies beside it."""
    return {name.removesuffix(ending): data.decode() for name, data in left.items() if name.endswith(ending)}


def test_unity(local_stack: Stack, tmp_path: Path) -> None:
    left = leave(local_stack, tmp_path, preset="unity", engine_files=True)
    metas = {name: yaml.safe_load(text) for name, text in engine_of(left, ".meta").items()}
    assert set(metas) == {name for name in left if name.endswith(".png")} and len(metas) == 4
    kinds = {name.rpartition("_")[2].removesuffix(".png"): meta["TextureImporter"] for name, meta in metas.items()}
    assert {kind: one["mipmaps"]["sRGBTexture"] for kind, one in kinds.items()} == {
        "BaseMap": 1, "Height": 0, "NormalDX": 0, "Occlusion": 0,
    }  # fmt: skip
    assert [kind for kind, one in kinds.items() if one["textureType"] == 1] == ["NormalDX"]
    assert kinds["NormalDX"]["bumpmap"]["flipGreenChannel"] == 1  # Unity's own are OpenGL's
    assert {one["textureSettings"]["wrapU"] for one in kinds.values()} == {0}  # it tiles
    guids = {meta["guid"] for meta in metas.values()}
    assert len(guids) == 4 and all(len(guid) == 32 and int(guid, 16) for guid in guids)


def test_godot(local_stack: Stack, tmp_path: Path) -> None:
    left = leave(local_stack, tmp_path, preset="godot", engine_files=True)
    said = {}
    for name, text in engine_of(left, ".import").items():
        parser = ConfigParser()
        parser.read_string(text)
        assert dict(parser["remap"]) == {"importer": '"texture"', "type": '"CompressedTexture2D"'}
        said[name.partition("brick_")[2].partition("_")[2].removesuffix(".png")] = parser["params"]
    assert set(said) == {"albedo", "height", "normal_dx", "ao"}
    assert [kind for kind, one in said.items() if one["compress/normal_map"] == "1"] == ["normal_dx"]
    assert said["normal_dx"]["process/normal_map_invert_y"] == "true"
    assert {one["mipmaps/generate"] for one in said.values()} == {"true"}


def test_unreal(local_stack: Stack, tmp_path: Path) -> None:
    left = leave(
        local_stack, tmp_path, preset="unreal", engine_files=True, packing={"ORM": ["ao", "roughness", "metallic"]}
    )
    ((name, text),) = engine_of(left, ".import.json").items()
    groups = json.loads(text)["ImportGroups"]
    pictures = {name for name in left if name.endswith(".png")}
    assert {file for group in groups for file in group["Filenames"]} == pictures and name in {p[:-4] for p in pictures}
    ways = {group["GroupName"].rpartition(" ")[2]: group["ImportSettings"]["CompressionSettings"] for group in groups}
    assert ways == {
        "picture": "TC_Default", "height": "TC_Masks", "normal_dx": "TC_Normalmap", "ao": "TC_Masks", "ORM": "TC_Masks",
    }  # fmt: skip
    assert {group["DestinationPath"] for group in groups} == {"/Game/Potion_Shop"}
    assert all(group["FactoryName"] == "TextureFactory" for group in groups)
    spaces = {group["GroupName"].rpartition(" ")[2]: group["ImportSettings"]["ColorSpaceMode"] for group in groups}
    assert spaces == {kind: "SRGB" if kind == "picture" else "Linear" for kind in ways}


def test_they_are_in_the_index(local_stack: Stack, tmp_path: Path) -> None:
    left = leave(local_stack, tmp_path, preset="unity", engine_files=True)
    (image,) = json.loads(left["delivery.json"])["images"]
    roles = {file["name"].rpartition("/")[2]: file["role"] for file in image["files"]}
    assert {name for name, role in roles.items() if role == "engine"} == {
        name for name in left if name.endswith(".meta")
    }


def test_nobodys_file_is_replaced(local_stack: Stack, tmp_path: Path) -> None:
    said = manifest("red potion", delivery={"preset": "unity", "engine_files": True})
    approved(local_stack.ledger, local_stack.store, [spec(seed=1)], said)
    (first,) = deliver(local_stack.ledger, local_stack.store, folder=tmp_path).names
    theirs = tmp_path / (first.replace("S1", "S2") + ".meta")
    theirs.write_text("theirs")
    approved(local_stack.ledger, local_stack.store, [spec(seed=2)], said)
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path)
    assert [str(failure.error) for failure in done.failures] == [
        f"its import settings would be {first.replace('S1', 'S2')}.meta, where another file lies already"
    ]
    assert theirs.read_text() == "theirs" and not theirs.with_suffix("").exists()


def test_what_an_engine_made_of_its_settings_stays(local_stack: Stack, tmp_path: Path) -> None:
    """Unity and Godot write on in them when they import; a copy later says nothing of it, and of a stranger's does."""
    ledger, store, game = local_stack.ledger, local_stack.store, tmp_path / "game"
    for number, (engine, line) in enumerate([("unity", b"fileFormatVersion: 2"), ("godot", b"[remap]")], 1):
        said = manifest("red potion", delivery={"preset": engine, "engine_files": True, "name": f"{engine}.png"})
        approved(ledger, store, [spec(seed=number)], said)
        assert deliver(ledger, store).failures == ()
        copy_delivered(game, ledger=ledger, store=store)
        (settings,) = (path for path in game.rglob(f"{engine}.png.*") if path.suffix in (".meta", ".import"))
        imported = settings.read_bytes().replace(line, line + b"\nuserData: x")
        settings.write_bytes(imported)
        assert copy_delivered(game, ledger=ledger, store=store).problems == [] and settings.read_bytes() == imported
        settings.write_bytes(b"guid: 12\nimporter=none\n")
        (problem,) = copy_delivered(game, ledger=ledger, store=store).problems
        assert problem == f"Potion_Shop/{settings.name}: another file lies there already"
        settings.write_bytes(imported)


def test_settings_that_the_engine_rewrote_do_not_hold_up_the_picture(
    local_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The editor was open on the folder while a delivery was cut off."""

    def cut(name: str) -> None:
        if name == "deliver.after_folder":
            raise KeyboardInterrupt

    said = manifest("red potion", delivery={"preset": "unity", "engine_files": True})
    approved(local_stack.ledger, local_stack.store, [spec()], said)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(delivery, "failpoint", cut)
        deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game")
    (settings,) = (tmp_path / "game").rglob("*.meta")
    settings.write_bytes(imported := settings.read_bytes() + b"  userData: x\n")
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path / "game")
    assert done.failures == () and len(done.names) == 1 and settings.read_bytes() == imported


@pytest.mark.parametrize("kept", ["webp", "jxl"])
def test_what_an_engine_cannot_read_is_not_left_to_it(local_stack: Stack, kept: ImageFormat) -> None:
    said = manifest("red potion", delivery={"preset": "unity", "engine_files": True})
    approved(local_stack.ledger, local_stack.store, [spec()], said, image_format=kept)
    assert [name[-4:] for name in deliver(local_stack.ledger, local_stack.store).names] == [".png"]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("engine_files: true", "got engine_files without an engine; expected `preset: unreal`, unity or godot too"),
        ("preset: unity, engine_files: true, format: jxl", "got jxl with engine_files, which unity does not import"),
        ("preset: unreal, engine_files: true, format: webp", "unreal does not import; expected as_made, png, tga"),
        ("preset: godot, engine_files: true, format: tiff", "expected as_made, png, webp, tga, exr"),
    ],
)
def test_what_cannot_be_is_refused(rules: str, says: str) -> None:
    text = f"project: P\nmodel: studio-tiny\ndelivery: {{{rules}}}\nassets: [{{name: A, prompt: x}}]\n"
    with pytest.raises(ManifestError, match=says):
        reading: Any = read_manifest(text.encode(), "m.yaml", limits=Limits())
        reading.sound()
