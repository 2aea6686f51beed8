"""Large pictures in two passes, each an ordinary render."""

import hashlib

import numpy as np
import pytest

from engine import pixels
from engine.hires import enlarged
from schemas.errors import NotFinite
from schemas.spec import Hires, ImageSpec


def render(engine, studio, *specs, **more):
    conditions = dict(studio.conditions)
    for spec in specs:
        for control in spec.controls:
            lines = studio.conditions[control.condition_key(64, 48)]
            conditions[control.condition_key(spec.width, spec.height)] = pixels.fit(
                lines, width=spec.width, height=spec.height
            )
    return engine.render(list(specs), sources=studio.sources, conditions=conditions, **more)


LARGE = {"width": 128, "height": 96, "hires": Hires(width=64, height=48, strength=0.5, num_inference_steps=4)}


def test_a_second_pass_is_img2img_over_the_enlarged_first(engine, studio):
    spec = studio.spec(1, **LARGE)
    made = render(engine, studio, studio.spec(0, **LARGE), spec)[1]
    assert made.pixels.shape == (96, 128, 3) and made.digest == spec.digest and made.error is None
    first = render(engine, studio, studio.spec(1))[0]
    large = enlarged(first.pixels, width=128, height=96)
    name = hashlib.sha256(large.tobytes()).hexdigest()
    second = studio.spec(1, width=128, height=96, source=name, strength=0.5, num_inference_steps=4)
    expected = engine.render([second], sources={name: large})[0]
    assert np.abs(made.pixels.astype(int) - expected.pixels.astype(int)).max() <= 1
    assert made.timings["denoise"] > 0 and set(made.timings) == {"encode", "source", "denoise", "decode"}


def test_with_controls_and_from_a_source(engine, studio):
    controlled = studio.spec(0, **LARGE, controls=(studio.control(),))
    varied = studio.spec(0, **LARGE, source="a" * 64, strength=0.6)
    plain = render(engine, studio, studio.spec(0, **LARGE))[0].pixels
    for spec in (controlled, varied):
        row = render(engine, studio, spec)[0]
        assert row.error is None and row.pixels.shape == (96, 128, 3)
        assert (row.pixels != plain).any()


def test_what_fails_in_the_first_pass_fails_alone(engine, studio):
    specs = [
        studio.spec(0, **LARGE),
        studio.spec(1, **LARGE, prompt="(boat:" + "9" * 39 + ")"),
        studio.spec(2, **LARGE),
    ]
    rows = render(engine, studio, *specs)
    assert [row.digest for row in rows] == [spec.digest for spec in specs]
    assert [row.pixels is None for row in rows] == [False, True, False]
    assert isinstance(rows[1].error, NotFinite)


def test_enlarging_keeps_what_is_seamless():
    angle = np.arange(32) / 32 * 2 * np.pi
    wave = (np.sin(angle)[:, None] * np.cos(angle)[None, :] * 100 + 120).astype(np.uint8)
    tile = np.repeat(wave[..., None], 3, axis=2)
    rolled = enlarged(np.roll(tile, (8, 8), (0, 1)), width=64, height=64, axes="xy").astype(int)
    assert (
        np.abs(rolled - np.roll(enlarged(tile, width=64, height=64, axes="xy").astype(int), (16, 16), (0, 1))).max()
        <= 1
    )
    open_edges = enlarged(np.roll(tile, (8, 8), (0, 1)), width=64, height=64).astype(int)
    assert np.abs(open_edges - np.roll(enlarged(tile, width=64, height=64).astype(int), (16, 16), (0, 1))).max() > 1


def test_specs_that_differ_in_their_second_pass_share_no_batch(studio):
    one = studio.spec(0, **LARGE)
    other = ImageSpec.model_validate(
        one.model_dump() | {"hires": Hires(width=64, height=48, strength=0.4).model_dump()}
    )
    assert len({one.batch_key, other.batch_key, studio.spec(0, width=128, height=96).batch_key}) == 3


@pytest.mark.parametrize("limit", [2**22, 64 * 64 * 16])
def test_the_autoencoder_goes_in_tiles_above_a_limit(engine, studio, monkeypatch, limit):
    monkeypatch.setattr(pixels, "TILED_PIXELS", limit)
    row = studio.render(engine, [studio.spec(0, width=256, height=320, num_inference_steps=1)])[0]
    assert row.pixels.shape == (320, 256, 3)
    assert engine.models._base.vae.use_tiling is (limit < 256 * 320)
    monkeypatch.undo()
    studio.render(engine, [studio.spec(0)])
    assert engine.models._base.vae.use_tiling is False
