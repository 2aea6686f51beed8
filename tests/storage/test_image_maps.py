"""Which maps leave with a texture, and from which picture they are derived."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.manifest import Manifest
from storage.derived_maps import DerivedMaps
from storage.image_maps import list_maps, open_image_maps
from storage.objects import Store
from storage.pictures import encode
from tests.making import a_spec, an_image

PIXELS = np.random.default_rng(3).integers(0, 256, (72, 96, 3), np.uint8)


def a_manifest(delivery: dict[str, Any], **texture: Any) -> Manifest:
    asset = {"name": "Wall", "kind": "texture", "prompt": "x", "sources": ["wall.png"]} | texture
    assets = [asset, {"name": "Hat", "prompt": "a hat"}]
    return Manifest.model_validate({"project": "P", "model": "studio-tiny", "delivery": delivery, "assets": assets})


def test_maps_and_the_channels_of_packed_ones_leave() -> None:
    packing = {"Mask": ["metallic", "ao", "black", "smoothness"], "ORM": ["ao", "roughness", "white"]}
    manifest = a_manifest({"packing": packing}, maps=["normal_dx", "ao"])
    assert list_maps(manifest, manifest.asset("Wall")) == ("normal_dx", "ao", "metallic", "roughness")
    assert list_maps(manifest, manifest.asset("Hat")) == ()
    plain = a_manifest({})
    assert list_maps(plain, plain.asset("Wall")) == ()


@pytest.mark.parametrize(
    "delivery, longest, size",
    [
        ({}, None, (96, 72)),
        ({"sides": "power_of_two", "fit": "resize"}, None, (128, 64)),
        ({"sides": "multiple_of_4"}, 48, (48, 36)),
    ],
)
def test_they_are_derived_from_the_picture_as_it_leaves(
    store: Store, delivery: dict[str, Any], longest: int | None, size: tuple[int, int]
) -> None:
    mask = io.BytesIO()
    Image.fromarray(np.full((10, 10), 51, np.uint8)).save(mask, "PNG")
    key = store.put_content("sources", mask.getvalue(), extension="png", media_type="image/png")
    files = {"metal.png": {"digest": "0" * 64, "key": key, "width": 10, "height": 10}}
    manifest, spec = a_manifest(delivery, metallic_mask="metal.png"), a_spec(asset="Wall", seamless="x")
    image = an_image(spec, width=96, height=72)
    data = encode(PIXELS, spec).data
    given: dict[str, Any] = {"image": image, "spec": spec, "manifest": manifest, "files": files, "store": store}
    derived = open_image_maps(data, **given, longest=longest)
    assert derived.pixels.shape == (size[1], size[0], 3)
    assert np.allclose(derived.derive("metallic"), 0.2)
    assert (derived.derive("ao") == DerivedMaps(derived.pixels, seamless="x").derive("ao")).all()
