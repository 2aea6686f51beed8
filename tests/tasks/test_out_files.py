"""What engines eat: each format, read by another library, has the approved pixels, its label and, if it can, a mark."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

from schemas.delivery_files import Fit, PictureFormat, Sides, choose_side
from schemas.errors import ManifestError
from schemas.reading.manifest_file import read_manifest
from schemas.settings import Limits
from storage.fitting import fit_pixels, premultiply
from storage.provenance import make_authority, open_signer, read_credentials
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.delivery.verify import verify_file
from tests.conftest import Stack
from tests.tasks.test_deliver import approved, files, manifest, spec

WALL = {
    "name": "brick", "kind": "texture", "prompt": "x", "sources": "a.png", "seamless": "both",
    "maps": ["height", "normal_dx", "ao"], "metallic": 0.25,
}  # fmt: skip
SOURCE = b"rainedAlgorithmicMedia"
"""Ends both of IPTC's source types: made by a model, and composed with what one made."""


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    folder = tmp_path_factory.mktemp("studio")
    make_authority(folder, studio="Potion Shop")
    return Signing(open_signer(certificate=None, key=None, home=folder))


def wall_spec() -> Any:
    return spec("brick", kind="texture", source="5" * 64, strength=0.5, seamless="xy")


def leave(stack: Stack, folder: Path, signing: Signing | None = None, **rules: Any) -> dict[str, bytes]:
    """A texture, delivered by these rules; its files by name without the project's folder."""
    said = manifest(assets=[WALL], delivery=rules)
    approved(stack.ledger, stack.store, [wall_spec()], said)
    done = deliver(stack.ledger, stack.store, folder=folder / "out", signing=signing)
    assert done.failures == () and done.problems == ()
    return {name.partition("/")[2]: data for name, data in files(folder / "out").items()}


@pytest.mark.parametrize("form", ["png", "webp", "jxl", "tiff", "tga", "exr"])
def test_every_format_has_the_approved_pixels_its_label_and_its_signature(
    local_stack: Stack, signer: Signing, tmp_path: Path, form: PictureFormat
) -> None:
    left = leave(local_stack, tmp_path, signer, format=form)
    name = f"T_Brick_S1_BC.{form}"
    data, said = left[name], json.loads(left[f"{name}.json"])
    assert SOURCE in data and (np.abs(read_levels(data, form) - 1) <= (0.51 if form == "exr" else 0)).all()
    media_type = said["files"][0]["media_type"]
    assert said["files"][0]["signed"] is True
    read = read_credentials(data, media_type=media_type, manifest=left.get(f"{name}.c2pa"))
    assert read is not None and read.is_sound
    found = verify_file(data, file_name=name, ledger=local_stack.ledger, store=local_stack.store, authority=None)
    assert found.is_unchanged and found.image == wall_spec().digest
    changed = bytearray(data)
    changed[len(data) * 3 // 4] ^= 1
    again = verify_file(
        bytes(changed), file_name=name, ledger=local_stack.ledger, store=local_stack.store, authority=None
    )
    assert not again.is_unchanged


def read_levels(data: bytes, form: str) -> np.ndarray:
    """Levels of 255, read by another library than the one that wrote them where there is one."""
    if form == "exr":
        light = OpenEXR.File(io.BytesIO(data)).channels()["RGB"].pixels.astype(np.float64)
        return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    if form == "jxl":
        import imagecodecs

        return np.asarray(imagecodecs.jpegxl_decode(data)).astype(float)
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture).astype(float)


@pytest.mark.parametrize("form", ["png", "png16", "tga", "exr"])
def test_packed_maps_in_every_format_say_that_they_are_derived(local_stack: Stack, tmp_path: Path, form: str) -> None:
    packing = {"ORM": ["ao", "roughness", "metallic"], "MaskMap": ["metallic", "ao", "black", "smoothness"]}
    left = leave(local_stack, tmp_path, map_format=form, packing=packing, preset="unreal")
    ending = form.removesuffix("16")
    names = {f"T_Brick_S1_{word}.{ending}" for word in ("H", "N", "AO", "ORM", "MaskMap")}
    assert names == {name for name in left if not name.endswith((".json", ".csv")) and "_BC" not in name}
    for name in names:
        assert b"derived" in left[name] and SOURCE in left[name]
    orm, mask = (read_map(left[f"T_Brick_S1_{word}.{ending}"], form) for word in ("ORM", "MaskMap"))
    assert orm.shape == (64, 64, 3) and mask.shape == (64, 64, 4)
    near = {"png": 1 / 255, "tga": 1 / 255, "png16": 1 / 65535, "exr": 1 / 1024}[form]
    assert np.abs(orm[..., 2] - 0.25).max() < near and np.abs(mask[..., 0] - 0.25).max() < near
    assert np.abs(orm[..., 1] + mask[..., 3] - 1).max() < 2 * near and (mask[..., 2] == 0).all()
    said = json.loads(left["T_Brick_S1_BC.png.json"])["maps"]
    assert {one["kind"]: one.get("channels") for one in said}["ORM"] == packing["ORM"]
    assert all(one["derived"] for one in said)


def read_map(data: bytes, form: str) -> np.ndarray:
    if form == "exr":
        (channel,) = OpenEXR.File(io.BytesIO(data)).channels().values()
        assert channel.pixels.dtype == np.float16
        return channel.pixels.astype(np.float64)
    if form == "png16":
        import cv2

        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels is not None and pixels.dtype == np.uint16
        order = [2, 1, 0, 3][: pixels.shape[2]]
        return pixels[..., order] / 65535
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture) / 255


@pytest.mark.parametrize(
    ("side", "sides", "fit", "expected"),
    [
        (65, "multiple_of_4", "pad", 68), (64, "multiple_of_4", "pad", 64), (65, "multiple_of_4", "resize", 64),
        (66, "multiple_of_4", "resize", 68), (1, "multiple_of_4", "resize", 4), (65, "power_of_two", "pad", 128),
        (90, "power_of_two", "resize", 64), (96, "power_of_two", "resize", 128), (1, "power_of_two", "pad", 1),
        (100, "as_made", "pad", 100),
    ],
)  # fmt: skip
def test_sides(side: int, sides: Sides, fit: Fit, expected: int) -> None:
    assert choose_side(side, sides, fit) == expected


def test_padding_is_clear_where_there_is_alpha_and_the_edge_elsewhere() -> None:
    pixels = np.zeros((6, 5, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, 255
    padded, done = fit_pixels(pixels, sides="power_of_two", fit="pad")
    assert padded.shape == (8, 8, 4) and done is not None and done["offset"] == [1, 1]
    assert (padded[1:7, 1:6] == pixels).all() and padded[..., 3].sum() == 255 * 30
    assert (padded[..., 0] == 200).all(), "what is clear has the edge's colour, so that mip-maps do not fringe"
    opaque, _ = fit_pixels(pixels[..., :3], sides="multiple_of_4", fit="pad")
    assert opaque.shape == (8, 8, 3) and (opaque[..., 0] == 200).all()


def test_resizing_takes_no_colour_from_what_is_clear() -> None:
    pixels = np.zeros((60, 60, 4), np.uint8)
    pixels[:, :30] = (250, 0, 0, 255)
    pixels[:, 30:] = (0, 250, 0, 0)
    resized, _ = fit_pixels(pixels, sides="power_of_two", fit="resize")
    seen = resized[resized[..., 3] > 8]
    assert resized.shape == (64, 64, 4) and seen[:, 1].max() == 0 and seen[:, 0].min() > 235


def test_premultiplied_is_said_in_tiff(local_stack: Stack, tmp_path: Path) -> None:
    from storage.texture_files import encode_tiff

    pixels = np.full((4, 4, 4), (200, 100, 50, 128), np.uint8)
    assert (premultiply(pixels) == (100, 50, 25, 128)).all()
    for is_premultiplied, kind in ((True, 1), (False, 2)):
        file = encode_tiff(pixels, xmp=b"<x/>", description="", is_premultiplied=is_premultiplied)
        page = tifffile.TiffFile(io.BytesIO(file.data)).pages.first
        assert page.tags[338].value == (kind,) and (page.asarray() == pixels).all()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("packing: {N: [ao, roughness, metallic]}", "ends the names of other files"),
        ("packing: {ORM: [ao, roughness]}", "3 for R, G, B"),
        ("sides: power_of_two", "fit: resize"),
    ],
)
def test_rules_that_cannot_be_kept_are_told_with_their_place(line: str, told: str) -> None:
    text = f"""project: p
model: m
delivery:
  {line}
assets:
  - {{name: a, kind: texture, prompt: x, sources: a.png, seamless: both}}
"""
    with pytest.raises(ManifestError) as raised:
        read_manifest(text.encode(), "m.yaml", Limits())
    assert told in str(raised.value) and "m.yaml:4:" in str(raised.value)
