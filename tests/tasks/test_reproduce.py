"""An image is made again from its record: identical here, and where it is not, the record says why."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.cutout import CutOuts
from engine.diffuse import Engine, read_versions
from engine.model_files import ModelFiles
from schemas.errors import InputError
from schemas.spec import ImageSpec, ModelRef
from storage.pictures import encode
from tasks.reproduce import Reproduction, find_image, list_changes, reproduce
from tests.conftest import Stack
from tests.engine.conftest import get_pixels
from tests.making import a_keeping, an_image, planned
from tests.studio import catalogue_path


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.set_num_threads(1)
    return Engine(ModelFiles.read(catalogue_path()), device="cpu", dtype="float32")


@pytest.fixture
def kept(engine: Engine, local_stack: Stack) -> list[ImageSpec]:
    """Three images of one batch, kept as a night keeps them; returns their specs."""
    model = ModelRef(alias="studio-tiny", digest=engine.models.catalogue.digest("studio-tiny"))
    specs = [
        ImageSpec(
            project="p", asset="a", variant=str(n), prompt=f"a boat {n}", seed=n, width=64, height=64, model=model,
            num_inference_steps=3, guidance_scale=3.0, scheduler="EulerAncestralDiscreteScheduler",
        )
        for n in range(3)
    ]  # fmt: skip
    keepings = []
    for spec, done in zip(specs, engine.render(specs), strict=True):
        file = encode(get_pixels(done), spec, image_format="png")
        key = local_stack.store.put_content("images", file.data, extension=file.extension, media_type=file.media_type)
        record = {"object_key": key, "versions": read_versions(), "device": done.device, "dtype": done.dtype}
        record["batch"] = {"size": done.batch_size, "row": done.row}
        keepings.append(a_keeping(spec, image=an_image(spec, **record)))
    planned(local_stack.ledger, specs)
    local_stack.ledger.keep_many(keepings)
    return specs


def again(engine: Engine, stack: Stack, digest: str) -> Reproduction:
    picture, cut_outs = find_image(stack.ledger, digest), CutOuts(engine.models.catalogue)
    return reproduce(picture, store=stack.store, engine=engine, cut_outs=cut_outs, settings=stack.settings)


def test_every_row_of_a_batch_is_identical_to_the_bit(
    engine: Engine, local_stack: Stack, kept: list[ImageSpec]
) -> None:
    for spec in kept:
        found = again(engine, local_stack, spec.digest[:12])
        assert found.identical and str(found) == f"{spec.digest[:12]}: identical, every pixel"


def test_a_difference_is_measured_and_explained(engine: Engine, local_stack: Stack, kept: list[ImageSpec]) -> None:
    other = Engine(engine.models.catalogue, device="cpu", dtype="bfloat16")
    picture = find_image(local_stack.ledger, kept[0].digest)
    picture.image.versions = picture.image.versions | {"torch": "1.0"}
    store, cut_outs = local_stack.store, CutOuts(other.models.catalogue)
    found = reproduce(picture, store=store, engine=other, cut_outs=cut_outs, settings=local_stack.settings)
    assert not found.identical and found.most >= 1 and 0 < found.mean <= found.most
    assert found.why[0].endswith("now and was 1.0") and "the precision is bfloat16 now and was float32" in found.why
    assert np.abs(found.pixels.astype(int)).max() > 0


def test_a_digest_must_name_one_image(engine: Engine, local_stack: Stack, kept: list[ImageSpec]) -> None:
    with pytest.raises(InputError, match="at least 6 letters"):
        find_image(local_stack.ledger, kept[0].digest[:3])
    with pytest.raises(InputError, match="got 'ffffffffff', with which 0 digests of images begin"):
        find_image(local_stack.ledger, "f" * 10)


def test_the_backend_that_computed_it_is_named(engine: Engine, local_stack: Stack, kept: list[ImageSpec]) -> None:
    image = find_image(local_stack.ledger, kept[0].digest).image
    image.batch = {"size": 1, "row": 0, "backend": "onnxruntime"}
    (made,) = engine.render([kept[0]])
    assert list_changes(image, made) == ("the denoiser's backend is torch now and was onnxruntime",)
