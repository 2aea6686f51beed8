"""Weights held in eight bits: an approximation that is asked for, small, and gone with the next batch that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from checks.banding import find_banding
from engine.diffuse import Engine
from engine.int8 import store_as_int8
from engine.memory import weigh_models
from engine.model_files import ModelFiles
from tests.engine.conftest import Studio

TYPES = ("float8_e4m3fn", "int8")
FARTHEST = {"float8_e4m3fn": 12.0, "int8": 3.0}
"""Levels of 255 from the exact picture, in the mean."""


@pytest.fixture(params=TYPES)
def eight(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The spec's field."""
    return {"storage_dtype": request.param}


def find_type(module: Any) -> Any:
    """What its weight is held in."""
    if parametrize.is_parametrized(module, "weight"):
        return module.parametrizations.weight.original0.dtype
    return module.weight.dtype


@pytest.fixture(scope="module")
def other(catalogue: ModelFiles) -> Engine:
    return Engine(catalogue, device="cpu", dtype="float32")


def render(engine: Engine, studio: Studio, **fields: Any) -> np.ndarray:
    row = studio.render(engine, [studio.spec(2, **fields)])[0]
    assert row.error is None, row.error
    return row.pixels.astype(int)


def test_it_is_near_and_does_not_stay(engine: Engine, other: Engine, studio: Studio, eight: dict[str, Any]) -> None:
    plain = render(engine, studio)
    made = render(other, studio, **eight)
    unet = other.models._base.unet
    layer = unet.down_blocks[1].attentions[0].transformer_blocks[0].attn1.to_q
    assert find_type(layer) == getattr(torch, eight["storage_dtype"])
    assert eight["storage_dtype"] != "int8" or find_type(unet.conv_out) == torch.float32
    away = np.abs(made - plain)
    assert 0 < away.mean() < FARTHEST[eight["storage_dtype"]], away.mean()
    assert np.array_equal(render(other, studio), plain)


def test_with_a_controlnet_and_a_lora(engine: Engine, other: Engine, studio: Studio, eight: dict[str, Any]) -> None:
    more = {"controls": (studio.control(),), "loras": (studio.lora(),)}
    away = np.abs(render(other, studio, **more, **eight) - render(engine, studio, **more))
    assert 0 < away.mean() < 12
    net = next(iter(other.models._nets.values()))
    assert find_type(net.mid_block.resnets[0].conv1) == getattr(torch, eight["storage_dtype"])


def test_smooth_gradients_do_not_band(other: Engine, studio: Studio, eight: dict[str, Any]) -> None:
    """What eight bits are known to spoil first: soft slopes. The same share of cells is banded with them as without."""
    size = {"width": 128, "height": 128, "prompt": "a soft grey gradient", "num_inference_steps": 6}
    pictures = render(other, studio, **size), render(other, studio, **size, **eight)
    share = [float(find_banding(picture.mean(2).astype(np.float32)).mean()) for picture in pictures]
    assert share[1] <= share[0] + 0.25, share


def test_it_takes_half_the_memory_and_a_shift_of_its_own(studio: Studio, eight: dict[str, Any]) -> None:
    plain, asked = studio.spec(), studio.spec(**eight)
    assert plain.affinity_key != asked.affinity_key and plain.digest != asked.digest
    whole, half = (weigh_models(studio.catalogue, spec, itemsize=2) for spec in (plain, asked))
    assert half.unet * 2 == whole.unet and half.text == whole.text


def test_every_weight_and_no_norm_is_held_in_int8_within_half_a_step() -> None:
    conv, linear = torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4)
    linear.weight.data[0] = 0.0
    part = torch.nn.Sequential(conv, torch.nn.GroupNorm(2, 8), linear)
    whole = [conv.weight.detach().clone(), linear.weight.detach().clone()]
    store_as_int8(part)
    for held, weight in ((conv.weight, whole[0]), (linear.weight, whole[1])):
        step = weight.flatten(1).abs().amax(1).reshape(-1, *[1] * (weight.ndim - 1)) / 127
        assert ((held - weight).abs() <= step * 0.5001).all()
    size = sum(tensor.numel() * tensor.element_size() for tensor in part.parameters())
    assert size == 3 * 8 * 9 + 8 * 4 + 4 * (8 + 4) + 4 * (8 + 2 * 8 + 4), "bytes, scales, biases and norms"
