"""Tiling as a property: a network without edges commutes with rolling its input, and only while it is asked to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from engine.seamless import _pad_around, use_circular_padding
from tests.engine.conftest import Studio, get_pixels


@pytest.fixture(scope="module")
def parts(engine: Engine, studio: Studio) -> tuple[Any, Any, Any]:
    studio.render(engine, [studio.spec(0, controls=(studio.control(),))])
    net = engine.models._nets[studio.control().model.digest]
    return engine.models._base.unet, engine.models._base.vae, net


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@torch.inference_mode()
@pytest.mark.parametrize(("axes", "dims"), [("x", [-1]), ("y", [-2]), ("xy", [-1, -2])])
@pytest.mark.parametrize("closed", [True, False])
def test_decoder_encoder_and_unet_roll_along_the_asked_axes_only(
    parts: tuple[Any, Any, Any], axes: str, dims: list[int], closed: bool
) -> None:
    axes = axes if closed else {"x": "y", "y": "x", "xy": ""}[axes]
    unet, vae, net = parts
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    shift, picture_shift = [8] * len(dims), [8 * factor] * len(dims)
    time_ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    added = {"text_embeds": torch.zeros(1, pooled), "time_ids": time_ids}
    words = torch.randn(1, 5, unet.config.cross_attention_dim, generator=torch.Generator().manual_seed(1))
    lines = torch.rand(1, 3, 16 * factor, 16 * factor, generator=torch.Generator().manual_seed(2))
    with use_circular_padding([unet, vae, net], axes):
        decoded = [vae.decode(z, return_dict=False)[0] for z in (latents, latents.roll(shift, dims))]
        encoded = [vae.encode(x).latent_dist.mean for x in (decoded[0], decoded[0].roll(picture_shift, dims))]
        answers = [
            unet(z, 500, encoder_hidden_states=words, added_cond_kwargs=added).sample
            for z in (latents, latents.roll(shift, dims))
        ]
        residuals = [
            net(z, 500, words, picture, added_cond_kwargs=added, return_dict=False)[0][0]
            for z, picture in ((latents, lines), (latents.roll(shift, dims), lines.roll(picture_shift, dims)))
        ]
    pairs = ((*decoded, picture_shift), (*encoded, shift), (*answers, shift), (*residuals, shift))
    for plain, rolled, by in pairs:
        assert (distance(rolled, plain.roll(by, dims)) < 1e-4) is closed


@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (2, 2, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1)])
def test_the_edge_goes_around_in_both_layouts(sides: tuple[int, int, int, int]) -> None:
    plain = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    left, right, above, below = sides
    expected = np.pad(plain.numpy(), ((0, 0), (0, 0), (above, below), (left, right)), mode="wrap")
    for layout in (torch.contiguous_format, torch.channels_last):
        padded = _pad_around(plain.contiguous(memory_format=layout), sides)
        np.testing.assert_array_equal(padded.numpy(), expected)
        assert padded.is_contiguous(memory_format=layout)


def test_nothing_leaks_into_the_next_batch(engine: Engine, studio: Studio) -> None:
    specs = [studio.spec(0), studio.spec(1)]
    before = [row.pixels for row in studio.render(engine, specs)]
    tiled = [row.pixels for row in studio.render(engine, [studio.spec(0, seamless="xy")])]
    after = [row.pixels for row in studio.render(engine, specs)]
    np.testing.assert_array_equal(before, after)
    assert (tiled[0] != before[0]).any()


def test_a_failure_inside_takes_the_overrides_off_too(parts: tuple[Any, Any, Any]) -> None:
    unet = parts[0]
    with pytest.raises(KeyError), use_circular_padding(parts, "x"):
        assert any("_conv_forward" in part.__dict__ for part in unet.modules())
        raise KeyError
    assert not any({"_conv_forward", "forward"} & set(part.__dict__) for network in parts for part in network.modules())


def seam(picture: np.ndarray, axis: int) -> float:
    """The step across the edge against the largest step inside, along an axis."""
    x = picture.astype(float)
    other = tuple(n for n in range(3) if n != axis)
    ends = np.abs(np.take(x, 0, axis) - np.take(x, -1, axis)).mean()
    return ends / np.abs(np.diff(x, axis=axis)).mean(axis=other).max()


def test_texture_variants_tile(engine: Engine, studio: Studio) -> None:
    """With circular padding the edge is like any other pair of columns."""
    source = np.zeros((48, 64, 3), np.uint8)
    source[...] = (np.sin(np.arange(64) / 64 * 2 * np.pi * 4) * 90 + 120).astype(np.uint8)[None, :, None]
    spec = studio.spec(0, source="8" * 64, strength=0.6, seamless="xy")
    made = get_pixels(engine.render([spec], sources={"8" * 64: source})[0])
    assert seam(made, 1) < 1.3 and seam(made, 0) < 1.3
