"""Weights held in fewer bits: an approximation that is asked for, small, and gone with the next batch that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from checks.banding import find_banding
from engine.diffuse import Engine
from engine.memory import weigh_models
from engine.model_files import ModelFiles
from engine.stored_weights import store_weights
from tests.engine.conftest import Studio

TYPES = ("float8_e4m3fn", "int8", "int4")
HELD = {"float8_e4m3fn": torch.float8_e4m3fn, "int8": torch.int8, "int4": torch.uint8}
"""In what linear layers are held; two values of four bits are a byte."""
FARTHEST = {"float8_e4m3fn": 12.0, "int8": 3.0, "int4": 16.0}
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
    assert find_type(layer) == HELD[eight["storage_dtype"]]
    assert eight["storage_dtype"] not in ("int8", "int4") or find_type(unet.conv_out) == torch.float32
    away = np.abs(made - plain)
    assert 0 < away.mean() < FARTHEST[eight["storage_dtype"]], away.mean()
    assert np.array_equal(render(other, studio), plain)


def test_with_a_controlnet_and_a_lora(engine: Engine, other: Engine, studio: Studio, eight: dict[str, Any]) -> None:
    more = {"controls": (studio.control(),), "loras": (studio.lora(),)}
    away = np.abs(render(other, studio, **more, **eight) - render(engine, studio, **more))
    assert 0 < away.mean() < 12
    net = next(iter(other.models._nets.values()))
    held = torch.int8 if eight["storage_dtype"] == "int4" else HELD[eight["storage_dtype"]]
    assert find_type(net.mid_block.resnets[0].conv1) == held


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
    assert half.text == whole.text and half.vae == whole.vae
    if eight["storage_dtype"] != "int4":
        assert half.unet * 2 == whole.unet


def test_what_four_bits_take_is_foreseen(other: Engine, studio: Studio) -> None:
    """To the norms, biases and two convolutions that stay whole."""
    render(other, studio, storage_dtype="int4", controls=(studio.control(),))
    spec = studio.spec(storage_dtype="int4", controls=(studio.control(),))
    foreseen = weigh_models(studio.catalogue, spec, itemsize=4)
    net = next(iter(other.models._nets.values()))
    for network, expected in ((other.models._base.unet, foreseen.unet), (net, foreseen.controlnets)):
        held = sum(value.nbytes for value in (*network.parameters(), *network.buffers()))
        assert expected == pytest.approx(held, rel=0.06)


def test_every_weight_and_no_norm_is_held_in_int8_within_half_a_step() -> None:
    conv, linear = torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4)
    linear.weight.data[0] = 0.0
    part = torch.nn.Sequential(conv, torch.nn.GroupNorm(2, 8), linear)
    whole = [conv.weight.detach().clone(), linear.weight.detach().clone()]
    store_weights(part, "int8")
    for held, weight in ((conv.weight, whole[0]), (linear.weight, whole[1])):
        step = weight.flatten(1).abs().amax(1).reshape(-1, *[1] * (weight.ndim - 1)) / 127
        assert ((held - weight).abs() <= step * 0.5001).all()
    size = sum(tensor.numel() * tensor.element_size() for tensor in part.parameters())
    assert size == 3 * 8 * 9 + 8 * 4 + 4 * (8 + 4) + 4 * (8 + 2 * 8 + 4), "bytes, scales, biases and norms"


def test_four_bits_are_within_half_a_step_of_their_group_and_say_zero_exactly() -> None:
    linear, narrow, conv = torch.nn.Linear(64, 6), torch.nn.Linear(40, 6), torch.nn.Conv2d(32, 4, 1)
    linear.weight.data[0] = 0.0
    linear.weight.data[1, :32] = 0.25
    layers = {"to_q": linear, "narrow": narrow, "conv": conv, "time_emb_proj": torch.nn.Linear(32, 4)}
    part = torch.nn.ModuleDict(layers)
    whole = linear.weight.detach().clone()
    store_weights(part, "int4")
    held = linear.weight
    groups = whole.unflatten(1, (-1, 32))
    step = (groups.amax(2, keepdim=True) - groups.amin(2, keepdim=True)) / 15
    assert ((held - whole).unflatten(1, (-1, 32)).abs() <= step * 0.5001 + 1e-7).all()
    assert (held[0] == 0).all() and (held[1, :32] == 0.25).all()
    values = dict(linear.named_parameters())["parametrizations.weight.original0"]
    assert values.shape == (6, 32), "two in a byte"
    assert {name: find_type(layer) for name, layer in layers.items()} == {
        "to_q": torch.uint8, "narrow": torch.int8, "conv": torch.int8, "time_emb_proj": torch.int8,
    }  # fmt: skip
