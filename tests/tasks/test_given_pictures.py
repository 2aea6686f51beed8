"""A repair of a telephone's photo with a mask as painters save them: from the manifest to what the engine is given."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from schemas.settings import Limits
from schemas.spec import ImageSpec
from storage.conversion import open_artwork
from storage.intake import inspect_picture
from storage.pictures import decode
from tasks.planning.submit import check_manifest, plan_submission, submit_manifest
from tasks.shift.gather import Gatherer
from tests.conftest import Stack
from tests.storage.icc import DISPLAY_P3, rgb_profile, through

TALL = np.zeros((96, 64, 3), np.uint8)
TALL[:48] = (200, 40, 40)
TALL[48:] = (40, 40, 200)
PAINT = np.zeros((96, 64), np.uint8)
PAINT[8:32, 8:40] = 255
MANIFEST = """\
project: Potion Shop
model: studio-tiny
{pictures}assets:
  - name: Hand
    kind: repair
    prompt: a hand
    sources: photo.png
    mask: {mask}
"""


def saved(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def rotated() -> bytes:
    """Stored lying, shown upright: EXIF orientation 6."""
    turned = Image.Exif()
    turned[0x0112] = 6
    return saved(np.ascontiguousarray(np.rot90(TALL)), exif=turned)


def planned(stack: Stack, folder: Path, *, mask: str = "mask.png", pictures: str = "") -> tuple[Any, ImageSpec]:
    from engine.model_files import open_model_files

    (folder / "m.yaml").write_text(MANIFEST.format(mask=mask, pictures=pictures))
    stack.ledger.pin("studio-tiny", "a" * 64)
    catalogue = open_model_files(stack.settings)
    said: dict[str, Any] = {
        "settings": stack.settings,
        "catalogue": catalogue,
        "ledger": stack.ledger,
        "store": stack.store,
    }
    submission, _ = submit_manifest(folder / "m.yaml", **said)
    plan_submission(stack.ledger, catalogue, submission.digest)
    (spec,) = stack.ledger.claim([row.digest for row in stack.ledger.waiting()], worker="w", seconds=60)
    return submission, spec


def test_a_rotated_photo_is_repaired_upright_with_a_mask_painted_on_nothing(local_stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(photo := rotated())
    (tmp_path / "mask.png").write_bytes(saved(np.dstack([np.full_like(TALL, 255), PAINT])))
    submission, spec = planned(local_stack, tmp_path)
    assert (spec.width, spec.height) == (64, 96)
    assert spec.source == hashlib.sha256(photo).hexdigest(), "what the night reads right keeps its digest"
    inputs = Gatherer(local_stack.store, limits=Limits(), condition_models=None).gather([spec])
    assert np.array_equal(inputs.sources[str(spec.source)], TALL)
    assert np.array_equal(inputs.masks[str(spec.mask)], PAINT)
    assert local_stack.store.get(submission.files["mask.png"]["key"]) == (tmp_path / "mask.png").read_bytes()
    assert "turned as its EXIF orientation says" in submission.files["photo.png"]["remarks"]


def test_a_photo_of_a_wide_colour_space_becomes_srgb_and_its_original_is_kept(
    local_stack: Stack, tmp_path: Path
) -> None:
    photo = saved(TALL, icc_profile=rgb_profile(DISPLAY_P3, gamma=2.2, name="Display P3"))
    (tmp_path / "photo.png").write_bytes(photo)
    (tmp_path / "mask.png").write_bytes(saved(PAINT))
    submission, spec = planned(local_stack, tmp_path)
    inputs = Gatherer(local_stack.store, limits=Limits(), condition_models=None).gather([spec])
    expected = through(TALL, DISPLAY_P3, gamma=2.2).astype(int)
    assert np.abs(inputs.sources[str(spec.source)] - expected).max() <= 2
    assert local_stack.store.get(submission.files["original:photo.png"]["key"]) == photo
    assert spec.mask == hashlib.sha256((tmp_path / "mask.png").read_bytes()).hexdigest()


def test_one_picture_may_be_both_source_and_mask(local_stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(saved(np.dstack([TALL, PAINT])))
    _, spec = planned(local_stack, tmp_path, mask="photo.png", pictures="pictures: {on: black}\n")
    inputs = Gatherer(local_stack.store, limits=Limits(), condition_models=None).gather([spec])
    assert np.array_equal(inputs.sources[str(spec.source)], TALL * (PAINT[..., None] > 0))
    luminance = np.asarray(Image.fromarray(TALL).convert("L"))
    assert np.array_equal(inputs.masks[str(spec.mask)], luminance * (PAINT > 0))


def test_a_check_says_what_becomes_of_pictures(local_stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(saved(TALL))
    (tmp_path / "mask.png").write_bytes(saved(np.zeros_like(PAINT)))
    (tmp_path / "m.yaml").write_text(MANIFEST.format(mask="mask.png", pictures=""))
    (warning,) = check_manifest(tmp_path / "m.yaml", local_stack.settings).warnings
    assert "the mask is black everywhere: nothing would be painted" in str(warning) and warning.line == 8


def test_a_plain_picture_is_frozen_as_ever(local_stack: Stack, tmp_path: Path) -> None:
    from engine.model_files import open_model_files

    (tmp_path / "photo.png").write_bytes(saved(TALL))
    (tmp_path / "mask.png").write_bytes(saved(PAINT))
    (tmp_path / "m.yaml").write_text(MANIFEST.format(mask="mask.png", pictures=""))
    looked = inspect_picture(tmp_path / "m.yaml", local_stack.settings, open_model_files(local_stack.settings))
    assert set(looked.frozen) == {"photo.png", "mask.png"} and looked.remarks == []
    assert np.array_equal(decode(looked.data["photo.png"], limits=Limits()), TALL)
    from schemas.manifest import PictureReading

    assert open_artwork(looked.data["photo.png"], reading=PictureReading(), limits=Limits()).plain


def test_backgrounds_are_kept_as_a_browser_shows_them(local_stack: Stack, tmp_path: Path) -> None:
    """By content, with alpha; a TIFF becomes a PNG, and is kept beside it. No image changes by them."""
    from engine.model_files import open_model_files

    slot, level = np.dstack([TALL, PAINT]), TALL[::-1].copy()
    (tmp_path / "slot.png").write_bytes(saved(slot))
    Image.fromarray(level).save(tmp_path / "level.tif")
    Image.fromarray(TALL).save(tmp_path / "menu.webp", lossless=True)
    text = "project: P\nmodel: studio-tiny\n{}assets: [{{name: A, prompt: a hat, seeds: [3]}}]\n"
    (tmp_path / "m.yaml").write_text(text.format("review: {backgrounds: [slot.png, level.tif, menu.webp]}\n"))
    (tmp_path / "plain.yaml").write_text(text.format(""))
    local_stack.ledger.pin("studio-tiny", "a" * 64)
    catalogue = open_model_files(local_stack.settings)
    parts: dict[str, Any] = {"settings": local_stack.settings, "catalogue": catalogue, "store": local_stack.store}
    submission, _ = submit_manifest(tmp_path / "m.yaml", **parts, ledger=local_stack.ledger)
    files = submission.files
    assert set(files) == {"slot.png", "level.tif", "background:level.tif", "menu.webp"}
    kept = {path: local_stack.store.get(file["key"]) for path, file in files.items()}
    assert all(kept[path] == (tmp_path / path).read_bytes() for path in ("slot.png", "level.tif", "menu.webp"))
    assert np.array_equal(decode(kept["background:level.tif"], limits=Limits()), level)
    plan_submission(local_stack.ledger, catalogue, submission.digest)
    (item,) = local_stack.ledger.waiting()
    again, _ = submit_manifest(tmp_path / "plain.yaml", **parts, ledger=local_stack.ledger)
    assert plan_submission(local_stack.ledger, catalogue, again.digest).new == 0
    assert [one.digest for one in local_stack.ledger.waiting()] == [item.digest]
