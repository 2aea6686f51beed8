"""Files that cannot hold a C2PA manifest, or whose readers do not look for one, have it beside them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError, NameCollision
from storage.provenance import Signer, make_authority, open_signer
from tasks.delivery import deliver as delivery
from tasks.delivery import target
from tasks.delivery.copying import copy_delivered
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.delivery.verify import Verified, verify_file
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, files, manifest, spec

FORMATS = ["jxl", "exr", "tga"]
MEDIA = {"jxl": "image/jxl", "exr": "image/x-exr", "tga": "image/x-tga"}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("studio")
    make_authority(folder, studio="Potion Shop")
    opened = open_signer(certificate=None, key=None, home=folder)
    assert opened is not None
    return opened


def leave(stack: Stack, signer: Signer, form: str, folder: Path) -> tuple[str, bytes, bytes]:
    """One image, delivered in this format; its name, its bytes and its manifest's."""
    approved(stack.ledger, stack.store, [spec()], manifest("red potion", delivery={"format": form}))
    signing = Signing(signer, is_required=True)
    done = deliver(stack.ledger, stack.store, folder=folder, signing=signing)
    assert done.failures == () and done.problems == ()
    (name,) = done.names
    assert name.endswith(f".{form}")
    return name, stack.store.get(f"delivery/{name}"), stack.store.get(f"delivery/{name}.c2pa")


def read_state(data: bytes, beside: bytes, media_type: str, authority: bytes) -> str:
    """What the library's own reader says, asked without any code of ours."""
    told = {"verify": {"verify_trust": True, "remote_manifest_fetch": False}}
    settings = told | {"trust": {"trust_anchors": authority.decode()}}
    context = c2pa.Context.from_dict(settings)
    with c2pa.Reader(media_type, io.BytesIO(data), beside, context=context) as reader:
        assert not reader.is_embedded()
        return str(reader.get_validation_state())


@pytest.mark.parametrize("form", FORMATS)
def test_the_manifest_lies_beside_and_holds_by_the_librarys_reader(
    local_stack: Stack, signer: Signer, tmp_path: Path, form: str
) -> None:
    name, data, beside = leave(local_stack, signer, form, tmp_path / "game")
    there = files(tmp_path / "game")
    assert (there[name], there[f"{name}.c2pa"]) == (data, beside)
    assert signer.authority is not None
    assert read_state(data, beside, MEDIA[form], signer.authority) == "Trusted"
    held = data.find(beside)  # inside a JPEG XL, where the other reader looks
    assert (held >= 0) == (form == "jxl")
    for place in range(20, len(data), max(1, len(data) // 40)):
        if not 0 <= held <= place < held + len(beside):
            changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            assert read_state(changed, beside, MEDIA[form], signer.authority) == "Invalid", place


@pytest.mark.parametrize("form", FORMATS)
def test_verify_finds_a_flipped_byte_in_the_file_and_in_the_manifest(
    local_stack: Stack, signer: Signer, tmp_path: Path, form: str
) -> None:
    name, data, beside = leave(local_stack, signer, form, tmp_path)

    def verify(data: bytes, beside: bytes | None) -> Verified:
        known: dict[str, Any] = {"ledger": local_stack.ledger, "store": local_stack.store}
        file_name = name.rpartition("/")[2]
        return verify_file(data, file_name=file_name, authority=signer.authority, manifest=beside, **known)

    whole = verify(data, beside)
    assert whole.is_sound and whole.is_unchanged and whole.beside == "unchanged" and whole.image == spec().digest
    assert whole.credentials is not None and whole.credentials.state == "Trusted"
    alone = verify(data, None)
    assert alone.is_sound and alone.beside == "missing" and "delivered, and not here" in str(alone)
    places = np.random.default_rng(5)
    for place in places.integers(0, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 0x10
        assert not verify(bytes(changed), beside).is_sound, place
    for place in [*places.integers(0, len(beside), 60), 0, len(beside) - 1]:
        changed = bytearray(beside)
        changed[place] ^= 0x10
        found = verify(data, bytes(changed))
        assert not found.is_sound and found.beside == "changed", place


@pytest.mark.parametrize("form", FORMATS)
def test_the_manifest_is_in_the_sidecar_and_in_the_index_with_its_hash(
    local_stack: Stack, signer: Signer, tmp_path: Path, form: str
) -> None:
    name, _, beside = leave(local_stack, signer, form, tmp_path / "game")
    index = json.loads((tmp_path / "game" / "Potion_Shop" / "delivery.json").read_bytes())
    (listed,) = [one for image in index["images"] for one in image["files"] if one["role"] == "c2pa"]
    assert (listed["name"], listed["bytes"], listed["media_type"]) == (f"{name}.c2pa", len(beside), "application/c2pa")
    assert listed["sha256"] == hashlib.sha256(beside).hexdigest()
    assert listed in json.loads(local_stack.store.get(f"delivery/{name}.json"))["files"]
    lines = csv.DictReader((tmp_path / "game" / "Potion_Shop" / "delivery.csv").read_text("utf-8-sig").splitlines())
    assert [line["sha256"] for line in lines if line["role"] == "c2pa"] == [listed["sha256"]]
    copy_delivered(tmp_path / "later", ledger=local_stack.ledger, store=local_stack.store)
    assert files(tmp_path / "later")[f"{name}.c2pa"] == beside


def test_maps_have_their_manifests_too(local_stack: Stack, signer: Signer, tmp_path: Path) -> None:
    wall = {"name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png", "maps": ["height", "normal_gl"]}
    said = manifest(assets=[wall], delivery={"map_format": "exr"})
    one = spec("brick", kind="texture", source="5" * 64, strength=0.5, seamless="xy")
    approved(local_stack.ledger, local_stack.store, [one], said)
    done = deliver(local_stack.ledger, local_stack.store, folder=tmp_path, signing=Signing(signer, is_required=True))
    assert done.failures == ()
    beside = {name.rpartition("/")[2] for name in files(tmp_path) if name.endswith(".c2pa")}
    assert beside == {"T_Brick_S1_H.exr.c2pa", "T_Brick_S1_N.exr.c2pa"}


class _Cut(Exception):
    pass


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("step", range(12))
def test_a_delivery_that_is_cut_off_anywhere_leaves_a_whole_pair_when_it_is_run_again(
    local_stack: Stack, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, step: int
) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion", delivery={"format": form}))
    signing, game, reached = Signing(signer, is_required=True), tmp_path / "game", [0]

    def cut(_: str) -> None:
        reached[0] += 1
        if reached[0] == step + 1:
            raise _Cut

    def run() -> None:
        assert deliver(local_stack.ledger, local_stack.store, folder=game, signing=signing).failures == ()

    name = f"Potion_Shop/T_RedPotion_S1_BC.{form}"
    with monkeypatch.context() as patch, pytest.raises(_Cut):
        patch.setattr(delivery, "failpoint", cut)
        patch.setattr(target, "failpoint", cut)
        run()
    half = files(game)
    run()
    after = files(game)
    assert not [path for path in after if path.endswith(".part")]
    assert {half[path] == after[path] for path in half if path.startswith(name)} <= {True}, "what lay there is kept"
    beside = local_stack.store.get(f"delivery/{name}.c2pa")
    assert after[f"{name}.c2pa"] == beside and after[name] == local_stack.store.get(f"delivery/{name}")
    assert signer.authority is not None
    assert read_state(after[name], beside, MEDIA[form], signer.authority) == "Trusted"
    assert len(local_stack.ledger.deliveries()) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_somebody_elses_manifest_is_not_replaced(local_stack: Stack, signer: Signer, tmp_path: Path, form: str) -> None:
    approved(local_stack.ledger, local_stack.store, [spec()], manifest("red potion", delivery={"format": form}))
    game = tmp_path / "game"
    theirs = game / "Potion_Shop" / f"T_RedPotion_S1_BC.{form}.c2pa"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"of somebody else")
    (failure,) = deliver(local_stack.ledger, local_stack.store, folder=game, signing=Signing(signer)).failures
    assert isinstance(failure.error, NameCollision) and "its manifest would be" in str(failure)
    assert theirs.read_bytes() == b"of somebody else" and list(files(game)) == [f"Potion_Shop/{theirs.name}"]
    assert deliver(local_stack.ledger, local_stack.store, folder=game, signing=Signing(None)).failures == ()
    assert theirs.read_bytes() == b"of somebody else"


def test_the_command_reads_the_manifest_that_lies_beside(
    local_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in local_stack.environment.items():
        monkeypatch.setenv(variable, value)
    make_authority(local_stack.settings.home, studio="Potion Shop")
    signer = open_signer(certificate=None, key=None, home=local_stack.settings.home)
    assert signer is not None
    name, _, beside = leave(local_stack, signer, "jxl", tmp_path / "game")
    picture = tmp_path / "game" / name
    manifest_file = picture.with_name(picture.name + ".c2pa")
    for asked in (picture, manifest_file):
        done = CliRunner().invoke(app, ["verify", str(asked)])
        assert done.exit_code == 0 and "manifest beside it (.c2pa): as it was delivered" in done.output
    manifest_file.write_bytes(beside[:-1] + b"\1")  # the padding, which no signature covers
    done = CliRunner().invoke(app, ["verify", str(picture)])
    assert done.exit_code == 1 and "manifest beside it (.c2pa): CHANGED" in done.output
    picture.unlink()
    done = CliRunner().invoke(app, ["verify", str(manifest_file)])
    assert isinstance(done.exception, InputError) and "expected a delivered image" in str(done.exception)
