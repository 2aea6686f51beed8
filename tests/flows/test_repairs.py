"""A place of a given picture, repaired by a named recipe: from the manifest to the night's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.errors import ManifestError
from schemas.manifest import FrozenFile, Manifest
from schemas.recipes import RECIPES
from schemas.review import Changes
from schemas.spec import AssetKind, ImageSpec, Task, Tier
from storage.pictures import decode
from tasks.parts import Parts
from tasks.planning.plan import PlannedModels, expand_manifest, promote
from tests.flows.studio import night, submit_to, write_manifest

HEAD = """
project: Test Shop
model: studio-tiny
tiers: {final: {scheduler: Euler, num_inference_steps: 4, guidance_scale: 2.0}}
defaults: {size: 128, hires: {first_size: 64, strength: 0.5}}
assets:
"""
BOTH = """
  - name: Hand
    kind: repair
    recipe: hands
    prompt: a knight
    negative_prompt: blurry
    sources: pictures/shape.png
    region: {x: 0.5, y: 0.25, width: 0.25, height: 0.25}
    controls: [{type: canny, image: pictures/shape.png}]
  - name: Eye
    kind: repair
    recipe: face
    prompt: a knight
    sources: pictures/shape.png
    mask: pictures/mask.png
    strength: 0.9
    padding_mask_crop: 8
"""


def written(folder: Path, text: str, *, mask: tuple[int, int] = (96, 96)) -> Path:
    path = write_manifest(folder, HEAD + text)
    picture = Image.new("L", mask, 0)
    picture.paste(255, (10, 60, 30, 84))
    picture.save(folder / "pictures" / "mask.png")
    return path


def test_only_the_place_changes(local: Parts, tmp_path: Path) -> None:
    submit_to(local, written(tmp_path, BOTH))
    assert night(local)["made"] == 2
    before = np.asarray(Image.open(tmp_path / "pictures" / "shape.png"))
    places = {"Hand": (48, 24, 72, 48), "Eye": (10, 60, 30, 84)}
    for item in local.ledger.inbox(limit=10):
        picture = local.ledger.picture(item.digest)
        spec, pixels = picture.spec, decode(local.store.get(picture.image.object_key), limits=local.settings.limits)
        assert (spec.width, spec.height, spec.task, spec.kind) == (96, 96, Task.INPAINT, AssetKind.REPAIR)
        left, top, right, bottom = places[spec.asset]
        outside = np.ones((96, 96), bool)
        outside[top:bottom, left:right] = False
        np.testing.assert_array_equal(pixels[outside], before[outside])
        assert (pixels[~outside] != before[~outside]).any()
        assert bool(picture.image.conditions) == (spec.asset == "Hand")


def test_a_recipe_says_what_the_manifest_does_not(tmp_path: Path) -> None:
    hand, eye = planned(BOTH)
    assert (hand.strength, hand.padding_mask_crop, hand.hires) == (0.6, 48, None)
    assert hand.prompt == f"{RECIPES['hands'].prompt}, a knight"
    assert hand.negative_prompt == f"{RECIPES['hands'].negative_prompt}, blurry"
    assert (eye.strength, eye.padding_mask_crop, eye.mask) == (0.9, 8, "d" * 64)


def planned(text: str) -> list[ImageSpec]:
    import yaml

    manifest = Manifest.model_validate(yaml.safe_load(HEAD + text))
    names = {"pictures/shape.png": "a", "pictures/mask.png": "d", "region:0.5,0.25,0.25,0.25:96x96": "c"}
    files = {name: FrozenFile(digest=letter * 64, width=96, height=96) for name, letter in names.items()}
    models = PlannedModels({"studio-tiny": "1" * 64, "net": "2" * 64}, {("studio-tiny", "canny"): "net"})
    return list(expand_manifest(manifest, files, models))


def test_the_final_of_a_drafted_repair_keeps_its_place() -> None:
    import yaml

    hand = planned(BOTH)[0].model_copy(update={"tier": Tier.DRAFT})
    manifest = Manifest.model_validate(yaml.safe_load(HEAD + BOTH))
    final = promote(
        hand, Changes(tier=Tier.FINAL), manifest, PlannedModels({"studio-tiny": "1" * 64}), picture="e" * 64
    )
    assert (final.source, final.mask, final.task) == ("e" * 64, hand.mask, Task.INPAINT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: A, kind: repair, prompt: x, sources: pictures/shape.png}", "without a place; expected `region`"),
        (
            "{name: A, kind: repair, prompt: x, sources: pictures/shape.png, mask: pictures/mask.png, size: 64}",
            "assets[0].size: got a size for a repair; expected none: a repair keeps its picture's size",
        ),
        (
            "{name: A, kind: repair, prompt: x, sources: pictures/shape.png, mask: pictures/mask.png}",
            "got 'pictures/mask.png' of 80x96 px for 'pictures/shape.png'; expected a mask of its size, 96x96",
        ),
        (
            "{name: A, kind: repair, prompt: x, sources: pictures/odd.png, region: {x: 0, y: 0, width: 1, height: 1}}",
            "got 'pictures/odd.png' of 90x64 px; expected a picture whose sides are multiples of 8",
        ),
        (
            "{name: A, kind: repair, recipe: feet, prompt: x, sources: pictures/shape.png, mask: pictures/mask.png}",
            "assets[0].recipe: got 'feet'; expected one of: detail, face, hands, replace",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(local: Parts, tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, f"  - {text}\n", mask=(80, 96))
    Image.new("RGB", (90, 64)).save(tmp_path / "pictures" / "odd.png")
    with pytest.raises(ManifestError) as wrong:
        submit_to(local, path)
    assert said in str(wrong.value)
