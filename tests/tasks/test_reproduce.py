"""An image is made again from its record: identical here, and where it is not, the record says why."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.cutout import CutOuts
from engine.diffuse import Engine, read_versions
from engine.model_files import ModelFiles
from engine.runtime_options import RuntimeOptions
from schemas.errors import InputError
from schemas.settings import Backend, Limits
from schemas.spec import ImageSpec, ModelRef
from storage.pictures import decode, encode
from storage.provenance import make_authority, open_signer
from tasks.delivery.deliver import deliver
from tasks.delivery.signing import Signing
from tasks.delivery.verify import verify_file
from tasks.reproduce import Reproduction, find_image, list_changes, reproduce, settings_as_made
from tests.conftest import Stack
from tests.engine.conftest import get_pixels
from tests.making import a_choice, a_keeping, a_submission, an_image, planned
from tests.studio import catalogue_path
from tests.tasks.test_deliver import manifest


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.set_num_threads(1)
    return Engine(ModelFiles.read(catalogue_path()), device="cpu", dtype="float32")


@pytest.fixture
def kept(engine: Engine, local_stack: Stack) -> list[ImageSpec]:
    return keep(engine, local_stack)


def keep(engine: Engine, local_stack: Stack) -> list[ImageSpec]:
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
        record: dict[str, Any] = {
            "object_key": key,
            "sha256": hashlib.sha256(file.data).hexdigest(),
            "media_type": file.media_type,
        }
        record |= {"versions": read_versions(), "device": done.device, "dtype": done.dtype}
        record["batch"] = {"size": done.batch_size, "row": done.row, **done.levers}
        keepings.append(a_keeping(spec, image=an_image(spec, **record)))
    said = manifest("a", project="p")
    planned(local_stack.ledger, specs, submission=a_submission(body=said.model_dump(mode="json")))
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


@pytest.mark.parametrize("is_signed", [True, False])
def test_from_a_delivered_file_to_its_record_and_back_to_its_pixels(
    engine: Engine, local_stack: Stack, kept: list[ImageSpec], tmp_path: Path, is_signed: bool
) -> None:
    ledger, store = local_stack.ledger, local_stack.store
    for spec in kept:
        ledger.decide(a_choice(spec), reviewer="rita")
    make_authority(tmp_path, studio="Potion Shop")
    signer = open_signer(certificate=None, key=None, home=tmp_path)
    assert signer is not None
    signing = Signing(signer, is_required=True) if is_signed else None
    done = deliver(ledger, store, folder=tmp_path / "game", signing=signing)
    assert len(done.names) == len(kept) and not done.failures
    named = set()
    for name in done.names:
        data = (tmp_path / "game" / name).read_bytes()
        found = verify_file(data, file_name="renamed.png", ledger=ledger, store=store, authority=signer.authority)
        assert found.is_sound and found.is_unchanged and (found.credentials is not None) == is_signed
        made = again(engine, local_stack, found.image)
        assert made.identical and np.array_equal(made.pixels, decode(data, limits=Limits()))
        named.add(found.image)
    assert named == {spec.digest for spec in kept}


def test_what_a_graph_made_is_made_again_by_a_graph(engine: Engine, local_stack: Stack, tmp_path: Path) -> None:
    def of(backend: Backend) -> Engine:
        levers = RuntimeOptions(backend=backend, folder=tmp_path)
        return Engine(engine.models.catalogue, device="cpu", dtype="float32", levers=levers)

    specs = keep(of("onnxruntime"), local_stack)
    plain = of("torch")
    for spec in specs:
        assert again(plain, local_stack, spec.digest).identical
        assert local_stack.ledger.picture(spec.digest).image.batch["backend"] == plain.graphs.asked == "onnxruntime"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_it_is_made_again_at_the_precision_it_was_made_at(engine: Engine, local_stack: Stack, dtype: str) -> None:
    catalogue = engine.models.catalogue
    (spec, *_) = keep(Engine(catalogue, device="cpu", dtype=dtype), local_stack)
    given = settings_as_made(find_image(local_stack.ledger, spec.digest), local_stack.settings)
    fresh = Engine(catalogue, device="cpu", dtype=given.dtype, levers=RuntimeOptions.of(given))
    assert given.dtype == dtype and again(fresh, local_stack, spec.digest).identical


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
