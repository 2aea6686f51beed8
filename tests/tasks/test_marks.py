"""Delivered pictures can have an invisible mark: asked for in the manifest, said in every record, found by `verify`."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.__main__ import app
from schemas.errors import InputError, ManifestError, ProvenanceError
from schemas.manifest import Manifest
from schemas.reading.manifest_file import read_manifest
from schemas.settings import Limits
from schemas.spec import ImageSpec
from storage.pictures import encode
from storage.provenance import make_authority, open_signer
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.delivery.verify import Verified, verify_file
from tests import making
from tests.conftest import Stack
from tests.storage.test_watermark import paint
from tests.tasks.test_deliver import files, manifest, spec

SIDE = 192


def kept(stack: Stack, asked: dict[ImageSpec, np.ndarray], said: Manifest) -> None:
    """Kept with these pixels, and approved."""
    keepings = []
    for one, pixels in asked.items():
        file = encode(pixels, one, image_format="png")
        key = stack.store.put_content("images", file.data, extension="png", media_type=file.media_type)
        sha256 = hashlib.sha256(file.data).hexdigest()
        keepings.append(making.a_keeping(one, image=making.an_image(one, object_key=key, sha256=sha256)))
    body = said.model_dump(mode="json")
    making.planned(stack.ledger, list(asked), submission=making.a_submission(making.sha(str(body))[:8], body=body))
    stack.ledger.keep_many(keepings)
    for one in asked:
        stack.ledger.decide(making.a_choice(one), reviewer="rita")


def marked_spec(seed: int = 1, **fields: Any) -> ImageSpec:
    return spec(seed=seed, width=SIDE, height=SIDE, **fields)


def leave(stack: Stack, seeds: range, folder: Path | None = None, signing: Signing | None = None, **rules: Any) -> Any:
    """Painted icons, delivered by these rules: their names."""
    said = manifest("red potion", delivery={"watermark": True, **rules})
    kept(stack, {marked_spec(seed): paint(seed, SIDE, SIDE) for seed in seeds}, said)
    done = deliver(stack.ledger, stack.store, folder=folder, signing=signing)
    assert done.failures == () and done.problems == () and len(done.names) == len(seeds)
    return done.names


def verify(stack: Stack, data: bytes, file_name: str = "found on the web.jpg") -> Verified:
    return verify_file(data, file_name=file_name, ledger=stack.ledger, store=stack.store, authority=None)


def strip(data: bytes, *, quality: int = 75, part: float = 1.0, form: str = "JPEG") -> bytes:
    """Only pixels, smaller, saved anew."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture = picture.resize((int(picture.width * part), int(picture.height * part)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, form, quality=quality)
    return out.getvalue()


def test_a_stripped_copy_leads_to_its_record_and_to_no_other(local_stack: Stack) -> None:
    names = leave(local_stack, range(1, 9))
    for name in names:
        data = local_stack.store.get(f"delivery/{name}")
        sidecar = json.loads(local_stack.store.get(f"delivery/{name}.json"))
        whole = verify(local_stack, data, name.rpartition("/")[2])
        assert whole.is_sound and whole.watermark is not None and whole.watermark.bits_wrong == 0
        assert sidecar["watermark"]["message"] == sidecar["digest"][:12] == whole.watermark.message
        assert sidecar["files"][0]["watermark"] == sidecar["digest"][:12]
        for copy in (strip(data), strip(data, part=0.7), strip(data, form="PNG")):
            found = verify(local_stack, copy)
            assert (found.image, found.name, found.credentials) == (sidecar["digest"], name, None)
            assert found.watermark is not None and not found.is_sound and "CHANGED" in str(found)
    other = encode(paint(99, SIDE, SIDE), marked_spec(99), image_format="png").data
    assert verify(local_stack, strip(other, form="PNG")) == Verified(None)
    with pytest.raises(InputError, match="has no watermark of one"):
        verify(local_stack, strip(other))


def test_a_text_is_read_back_and_names_everything_that_has_it(local_stack: Stack) -> None:
    names = leave(local_stack, range(1, 4), watermark="POTION")
    found = verify(local_stack, strip(local_stack.store.get(f"delivery/{names[1]}")))
    assert found.watermark is not None and found.watermark.text == "POTION" and found.image == ""
    assert sorted(found.watermark.names) == sorted(names)
    assert "watermark: 'POTION', 0 of 48 bits wrong: delivery/Potion_Shop/T_RedPotion_S1_BC.png and 2 others" in str(
        found
    )


def test_the_mark_is_under_the_signature_which_says_so(local_stack: Stack, tmp_path: Path) -> None:
    make_authority(tmp_path, studio="Potion Shop")
    signing = Signing(open_signer(certificate=None, key=None, home=tmp_path), is_required=True)
    (name,) = leave(local_stack, range(1, 2), tmp_path / "game", signing)
    data = local_stack.store.get(f"delivery/{name}")
    assert (tmp_path / "game" / name).read_bytes() == data
    with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
        active = reader.get_active_manifest()
        assert reader.get_validation_state() == "Valid"
    actions = next(one["data"]["actions"] for one in active["assertions"] if "c2pa.actions" in one["label"])
    (bound,) = [one["data"] for one in active["assertions"] if one["label"] == "c2pa.soft-binding"]
    assert bound["blocks"][0]["value"] == marked_spec().digest[:12]
    assert [one["action"] for one in actions] == ["c2pa.created", "c2pa.watermarked"]
    ours = next(one["data"] for one in active["assertions"] if one["label"] == "org.dailies.image")
    assert ours["watermark"] == marked_spec().digest[:12]
    found = verify(local_stack, data, name.rpartition("/")[2])
    assert found.is_sound and found.watermark is not None


@pytest.mark.parametrize("form", ["png", "webp", "jxl", "tiff", "tga", "exr"])
def test_every_format_has_it(local_stack: Stack, form: str) -> None:
    (name,) = leave(local_stack, range(1, 2), format=form)
    found = verify(local_stack, local_stack.store.get(f"delivery/{name}"))
    assert found.watermark is not None and found.watermark.bits_wrong == 0 and found.is_unchanged


def test_maps_are_as_without_it(local_stack: Stack, tmp_path: Path) -> None:
    wall = {"name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png", "maps": ["height", "normal_gl"]}
    one = spec("brick", kind="texture", source="5" * 64, strength=0.5, seamless="xy", width=SIDE, height=SIDE)
    maps = []
    for number, watermark in enumerate((False, True)):
        said = manifest(assets=[wall], delivery={"watermark": watermark, "name": f"{number}/T_{{Asset}}_BC.png"})
        asked = one.model_copy(update={"seed": 7, "prompt": f"{number}"})
        kept(local_stack, {asked: paint(7, SIDE, SIDE, 120)}, said)
        assert deliver(local_stack.ledger, local_stack.store, folder=tmp_path / str(number)).failures == ()
        left = {name.rpartition("/")[2]: data for name, data in files(tmp_path / str(number)).items()}
        maps.append(
            {kind: np.asarray(Image.open(io.BytesIO(left[f"T_Brick_{kind}.png"]))) for kind in ("H", "N", "BC")}
        )
    assert np.array_equal(maps[0]["H"], maps[1]["H"]) and np.array_equal(maps[0]["N"], maps[1]["N"])
    assert not np.array_equal(maps[0]["BC"], maps[1]["BC"])


@pytest.mark.parametrize("asset", [None, True, False])
def test_a_palette_stays_exact_unless_its_asset_asks(local_stack: Stack, asset: bool | None) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (16, 3), dtype=np.uint8)
    sprite = colours[np.random.default_rng(2).integers(0, 16, (SIDE // 8, SIDE // 8))].repeat(8, 0).repeat(8, 1)
    told = {"name": "red potion", "prompt": "x"} | ({} if asset is None else {"watermark": asset})
    kept(local_stack, {marked_spec(): sprite}, manifest(assets=[told], delivery={"watermark": True}))
    (name,) = deliver(local_stack.ledger, local_stack.store).names
    left = np.asarray(Image.open(io.BytesIO(local_stack.store.get(f"delivery/{name}"))))
    assert np.array_equal(left, sprite) == (asset is not True)
    said = json.loads(local_stack.store.get(f"delivery/{name}.json")).get("watermark", {})
    assert said.get("in_picture") == (None if asset is False else asset is True)
    assert ("256 colours or fewer" in said.get("why", "")) == (asset is None)


def test_an_asset_alone_can_ask(local_stack: Stack) -> None:
    told = [{"name": "red potion", "prompt": "x", "watermark": True}, {"name": "blue potion", "prompt": "x"}]
    both = {marked_spec(1): paint(1, SIDE, SIDE), marked_spec(2, asset="blue potion"): paint(2, SIDE, SIDE)}
    kept(local_stack, both, manifest(assets=told))
    names = deliver(local_stack.ledger, local_stack.store).names
    marks = {name: verify(local_stack, local_stack.store.get(f"delivery/{name}")).watermark for name in names}
    assert {("Red" in name, mark is not None) for name, mark in marks.items()} == {(True, True), (False, False)}


def test_what_holds_no_mark_stays_and_says_why(local_stack: Stack) -> None:
    clear = np.dstack([paint(1, SIDE, SIDE), np.zeros((SIDE, SIDE), np.uint8)])
    clear[90:100, 90:100, 3] = 255
    kept(local_stack, {marked_spec(): clear}, manifest("red potion", delivery={"watermark": True}))
    (failure,) = deliver(local_stack.ledger, local_stack.store).failures
    assert isinstance(failure.error, ProvenanceError) and "its watermark does not hold" in str(failure)
    assert not list(local_stack.store.keys("delivery"))


@pytest.mark.parametrize(
    ("said", "came"),
    [
        ("delivery: {watermark: potion shop}", "got 'potion shop'; expected true, false, or an id of 1 to 6 letters"),
        ("delivery: {watermark: 7}", "got 7; expected true, false, or an id"),
        ("delivery: {watermark: no}", "got 'no'; expected true, false, or an id"),
    ],
)
def test_what_is_no_watermark_is_refused(said: str, came: str) -> None:
    text = f"project: P\nmodel: studio-tiny\n{said}\nassets: [{{name: a, prompt: x}}]\n"
    with pytest.raises(ManifestError, match=came.replace("'", ".")):
        read_manifest(text.encode(), "m.yaml", Limits())


def test_pictures_that_are_too_small_are_refused_at_check(local_stack: Stack, tmp_path: Path) -> None:
    wall = Image.new("RGB", (64, 128), "brown")
    wall.save(tmp_path / "wall.png")
    text = """
project: P
model: studio-tiny
delivery: {watermark: true}
assets:
  - {name: icon, prompt: x, size: [96, 128]}
  - {name: left out, prompt: x, size: 64, watermark: false}
  - {name: usual, prompt: x}
  - {name: mended, kind: repair, prompt: x, sources: wall.png, region: {x: 0.2, y: 0.2, width: 0.4, height: 0.4}}
"""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    done = CliRunner().invoke(app, ["check", str(path)], env=local_stack.environment)
    assert isinstance(done.exception, ManifestError)
    lines = [line for line in str(done.exception).splitlines() if "watermark" in line]
    allowed = "expected sides of 128 px or more, or `watermark: false`"
    assert [line.partition(": ")[2] for line in lines] == [
        f"assets[0].size[0]: got a watermark for pictures of 96x96 px; {allowed}",
        f"assets[3].sources: got a watermark for pictures of 64x128 px; {allowed}",
    ]
