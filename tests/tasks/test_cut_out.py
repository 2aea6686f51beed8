"""What a person approves of a cut-out is what leaves: one file, with alpha, from keeping to delivery."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from bench.cutouts import draw_icon
from engine.model_files import ModelFiles
from engine.rendered import Rendered
from schemas.manifest import Manifest
from schemas.review import Result
from schemas.settings import Limits
from schemas.spec import CutOut, ImageSpec
from storage.ledger import Ledger
from storage.ledger.images import ImageDetails
from storage.pictures import decode, decode_kept
from tasks.delivery.deliver import deliver
from tasks.parts import Parts
from tasks.shift.failure_breaker import FailureBreaker
from tasks.shift.image_writer import Batch, ImageWriter
from tasks.shift.leases import Leases
from tests import making
from tests.conftest import Stack
from tests.studio import catalogue_path

FLAT, ROUGH = 4, 5


def picture(spec: ImageSpec) -> np.ndarray:
    drawn = draw_icon(spec.seed, size=64)[0].copy()
    if spec.seed == ROUGH:
        drawn[:32, :, 0] = np.linspace(0, 255, 64)
    return drawn


@pytest.fixture(params=["png", "webp", "jxl"])
def kept(local_stack: Stack, request: pytest.FixtureRequest) -> Parts:
    settings = local_stack.settings.model_copy(update={"image_format": request.param, "checks": False})
    parts = Parts(settings, local_stack.ledger, local_stack.store, ModelFiles.read(catalogue_path()))
    manifest = Manifest.model_validate(
        {
            "project": "potions",
            "model": "studio-tiny",
            "assets": [{"name": "red potion", "prompt": "x", "background": "transparent"}],
        }
    )
    specs = [making.a_spec(seed, background=CutOut()) for seed in (FLAT, ROUGH)]
    making.planned(parts.ledger, specs, submission=making.a_submission(body=manifest.model_dump(mode="json")))
    made = [
        Rendered(spec.digest, picture(spec), None, {"denoise": 0.1}, 2, row, {}, "cpu", "float32")
        for row, spec in enumerate(specs)
    ]
    leases = Leases(parts.ledger, worker="here:1", seconds=60, folder=settings.home / "workers")
    with leases, ImageWriter(parts, leases=leases, streak=FailureBreaker(5), night=None, flow_run=None) as keeper:  # type: ignore[arg-type]
        leases.claim([spec.digest for spec in specs])
        keeper.put(Batch(specs, made, parts.ledger.briefs([spec.digest for spec in specs])))
    return parts


def by_seed(ledger: Ledger) -> dict[int, ImageDetails]:
    return {ledger.picture(item.digest).spec.seed: ledger.picture(item.digest) for item in ledger.inbox(limit=9)}


def test_both_reach_the_inbox_and_what_is_approved_leaves(kept: Parts) -> None:
    flat, rough = by_seed(kept.ledger)[FLAT], by_seed(kept.ledger)[ROUGH]
    data = kept.store.get(flat.image.object_key)
    pixels = decode_kept(data, limits=kept.settings.limits)
    assert pixels.shape == (64, 64, 4) and set(np.unique(pixels[..., 3])) >= {0, 255}
    truth = draw_icon(FLAT, size=64)[1]
    assert np.abs(pixels[..., 3] / 255 - truth).mean() < 0.004
    on_its_ground = decode(data, limits=kept.settings.limits)
    assert np.abs(on_its_ground.astype(int) - picture(flat.spec)).max() <= 3, "a retake starts from what was made"
    preview = Image.open(io.BytesIO(kept.store.get(flat.image.preview_key)))
    assert preview.mode == "RGBA" and preview.getpixel((0, 0))[3] == 0  # type: ignore[index]

    assert decode_kept(kept.store.get(rough.image.object_key), limits=kept.settings.limits).shape == (64, 64, 3)
    (finding,) = [one for one in rough.findings if "not cut out" in one.sentence]
    assert finding.result is Result.FLAG and "not flat" in finding.sentence
    assert not any("cut out" in one.sentence for one in flat.findings)

    kept.ledger.decide(making.a_choice(flat.spec), reviewer="rita")
    (name,) = deliver(kept.ledger, kept.store).names
    delivered = kept.store.get(f"delivery/{name}")
    assert hashlib.sha256(delivered).hexdigest() == flat.image.sha256, "the file that was approved"


def test_the_ground_that_was_keyed_is_remembered() -> None:
    from storage.pictures import encode

    pixels = np.dstack([np.full((8, 8, 3), 10, np.uint8), np.zeros((8, 8), np.uint8)])
    limits = making_limits()
    spec = making.a_spec()
    assert (decode(encode(pixels, spec, ground=(60, 200, 80)).data, limits=limits) == (60, 200, 80)).all()
    assert (decode(encode(pixels, spec).data, limits=limits) == 255).all()
    assert (decode_kept(encode(pixels, spec).data, limits=limits)[..., :3] == 10).all()


def making_limits() -> Limits:
    return Limits()
