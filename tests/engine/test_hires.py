"""Large pictures in two passes, each an ordinary render."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import pixels
from engine.diffuse import Engine
from engine.hires import enlarge
from engine.memory import UNLIMITED
from engine.model_files import ModelFiles
from schemas.errors import ModelMissing, NotFinite
from schemas.spec import Hires, ImageSpec, ModelRef
from tests.engine.conftest import Studio, get_pixels


def render(engine: Engine, studio: Studio, *specs: ImageSpec, **more: Any) -> list[Any]:
    conditions = dict(studio.conditions)
    for spec in specs:
        for control in spec.controls:
            lines = studio.conditions[control.condition_key(64, 48)]
            conditions[control.condition_key(spec.width, spec.height)] = pixels.fit_picture(
                lines, width=spec.width, height=spec.height
            )
    return engine.render(list(specs), sources=studio.sources, conditions=conditions, **more)


LARGE = {"width": 128, "height": 96, "hires": Hires(width=64, height=48, strength=0.5, num_inference_steps=4)}


def test_a_second_pass_is_img2img_over_the_enlarged_first(engine: Engine, studio: Studio) -> None:
    spec = studio.spec(1, **LARGE)
    made = render(engine, studio, studio.spec(0, **LARGE), spec)[1]
    assert made.pixels.shape == (96, 128, 3) and made.digest == spec.digest and made.error is None
    first = render(engine, studio, studio.spec(1))[0]
    large = enlarge(first.pixels, width=128, height=96)
    name = hashlib.sha256(large.tobytes()).hexdigest()
    second = studio.spec(1, width=128, height=96, source=name, strength=0.5, num_inference_steps=4)
    expected = engine.render([second], sources={name: large})[0]
    assert np.abs(made.pixels.astype(int) - get_pixels(expected).astype(int)).max() <= 1
    assert made.timings["denoise"] > 0 and set(made.timings) == {"encode", "source", "denoise", "decode"}


def test_with_controls_and_from_a_source(engine: Engine, studio: Studio) -> None:
    controlled = studio.spec(0, **LARGE, controls=(studio.control(),))
    varied = studio.spec(0, **LARGE, source="a" * 64, strength=0.6)
    plain = render(engine, studio, studio.spec(0, **LARGE))[0].pixels
    for spec in (controlled, varied):
        row = render(engine, studio, spec)[0]
        assert row.error is None and row.pixels.shape == (96, 128, 3)
        assert (row.pixels != plain).any()


def test_what_fails_in_the_first_pass_fails_alone(engine: Engine, studio: Studio) -> None:
    specs = [
        studio.spec(0, **LARGE),
        studio.spec(1, **LARGE, prompt="(boat:" + "9" * 39 + ")"),
        studio.spec(2, **LARGE),
    ]
    rows = render(engine, studio, *specs)
    assert [row.digest for row in rows] == [spec.digest for spec in specs]
    assert [row.pixels is None for row in rows] == [False, True, False]
    assert isinstance(rows[1].error, NotFinite)


def test_enlarging_keeps_what_is_seamless() -> None:
    angle = np.arange(32) / 32 * 2 * np.pi
    wave = (np.sin(angle)[:, None] * np.cos(angle)[None, :] * 100 + 120).astype(np.uint8)
    tile = np.repeat(wave[..., None], 3, axis=2)
    rolled = enlarge(np.roll(tile, (8, 8), (0, 1)), width=64, height=64, axes="xy").astype(int)
    assert (
        np.abs(rolled - np.roll(enlarge(tile, width=64, height=64, axes="xy").astype(int), (16, 16), (0, 1))).max() <= 1
    )
    open_edges = enlarge(np.roll(tile, (8, 8), (0, 1)), width=64, height=64).astype(int)
    assert np.abs(open_edges - np.roll(enlarge(tile, width=64, height=64).astype(int), (16, 16), (0, 1))).max() > 1


@pytest.fixture
def enlarger(tmp_path: Path) -> tuple[ModelFiles, torch.nn.Module]:
    """A catalogue entry of a small SRVGG network (Real-ESRGAN's compact one) with random weights, and the network."""
    import torch
    import yaml
    from safetensors.torch import save_file
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    network = Compact(num_feat=8, num_conv=2, upscale=2)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "up.safetensors")
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump({"up": {"kind": "upscaler", "path": "up.safetensors"}}))
    return ModelFiles.read(tmp_path / "catalogue.yaml"), network


def test_a_learned_enlarger_goes_between_the_passes(
    engine: Engine, studio: Studio, enlarger: tuple[ModelFiles, torch.nn.Module]
) -> None:
    catalogue, _ = enlarger
    ref = ModelRef(alias="up", digest=catalogue.digest("up"))
    engine.models.catalogue.entries["up"] = catalogue.entries["up"].model_copy(
        update={"path": catalogue.where("up", asker="test")}
    )
    hires = Hires(width=64, height=48, strength=0.5, upscaler=ref)
    made = render(engine, studio, studio.spec(0, width=128, height=96, hires=hires))[0]
    plain = render(
        engine, studio, studio.spec(0, width=128, height=96, hires=hires.model_copy(update={"upscaler": None}))
    )
    assert made.error is None and (made.pixels != plain[0].pixels).any()
    assert made.models["up"] == ref.digest
    del engine.models.catalogue.entries["up"]


def test_an_enlarger_in_tiles_is_the_enlarger(
    enlarger: tuple[ModelFiles, torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from engine import upscale

    catalogue, network = enlarger
    by = upscale.Upscaler(catalogue.where("up", asker="x"), device=torch.device("cpu"), dtype=torch.float32, asker="x")
    picture = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    whole = by(picture, width=180, height=120)
    with torch.inference_mode():
        expected = network(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)[0]
    np.testing.assert_allclose(whole, (expected.clamp(0, 1) * 255).permute(1, 2, 0), atol=0.51)
    monkeypatch.setattr(upscale, "TILE", 32)
    np.testing.assert_array_equal(by(picture, width=180, height=120), whole)
    assert by(picture, width=135, height=90).shape == (90, 135, 3)


def test_weights_that_are_no_enlarger_are_named(studio: Studio, tmp_path: Path) -> None:
    import torch

    from engine.upscale import Upscaler

    file = studio.catalogue.files("studio-tiny/style", asker="x")[-1]
    with pytest.raises(ModelMissing, match=r"hero asks for the upscaler .* cannot be read"):
        Upscaler(file, device=torch.device("cpu"), dtype=torch.float32, asker="hero")


def test_specs_that_differ_in_their_second_pass_share_no_batch(studio: Studio) -> None:
    one = studio.spec(0, **LARGE)
    other = ImageSpec.model_validate(
        one.model_dump() | {"hires": Hires(width=64, height=48, strength=0.4).model_dump()}
    )
    assert len({one.batch_key, other.batch_key, studio.spec(0, width=128, height=96).batch_key}) == 3


@pytest.mark.parametrize("limit", [2**22, 64 * 64 * 16])
def test_the_autoencoder_goes_in_tiles_above_a_limit(
    engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(engine.models, "policy", lambda spec: replace(UNLIMITED, tiled_pixels=limit))
    row = studio.render(engine, [studio.spec(0, width=256, height=320, num_inference_steps=1)])[0]
    assert row.pixels.shape == (320, 256, 3)
    assert engine.models._base.vae.use_tiling is (limit < 256 * 320)
    monkeypatch.undo()
    studio.render(engine, [studio.spec(0)])
    assert engine.models._base.vae.use_tiling is False
