"""Weights held in eight bits: an approximation that is asked for, small, and gone with the next batch that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from checks.banding import find_banding
from engine.diffuse import Engine
from engine.memory import weigh_models
from engine.model_files import ModelFiles
from tests.engine.conftest import Studio

EIGHT: dict[str, Any] = {"storage_dtype": "float8_e4m3fn"}


@pytest.fixture(scope="module")
def other(catalogue: ModelFiles) -> Engine:
    return Engine(catalogue, device="cpu", dtype="float32")


def render(engine: Engine, studio: Studio, **fields: Any) -> np.ndarray:
    row = studio.render(engine, [studio.spec(2, **fields)])[0]
    assert row.error is None, row.error
    return row.pixels.astype(int)


def test_it_is_near_and_does_not_stay(engine: Engine, other: Engine, studio: Studio) -> None:
    plain = render(engine, studio)
    eight = render(other, studio, **EIGHT)
    unet = other.models._base.unet
    assert unet.down_blocks[1].attentions[0].transformer_blocks[0].attn1.to_q.weight.dtype == torch.float8_e4m3fn
    away = np.abs(eight - plain)
    assert 0 < away.mean() < 12, away.mean()
    assert np.array_equal(render(other, studio), plain)


def test_with_a_controlnet_and_a_lora(engine: Engine, other: Engine, studio: Studio) -> None:
    more = {"controls": (studio.control(),), "loras": (studio.lora(),)}
    away = np.abs(render(other, studio, **more, **EIGHT) - render(engine, studio, **more))
    assert 0 < away.mean() < 12
    net = next(iter(other.models._nets.values()))
    assert net.mid_block.resnets[0].conv1.weight.dtype == torch.float8_e4m3fn


def test_smooth_gradients_do_not_band(other: Engine, studio: Studio) -> None:
    """What eight bits are known to spoil first: soft slopes. The same share of cells is banded with them as without."""
    size = {"width": 128, "height": 128, "prompt": "a soft grey gradient", "num_inference_steps": 6}
    plain, eight = render(other, studio, **size), render(other, studio, **size, **EIGHT)
    share = [float(find_banding(picture.mean(2).astype(np.float32)).mean()) for picture in (plain, eight)]
    assert share[1] <= share[0] + 0.25, share


def test_it_takes_half_the_memory_and_a_shift_of_its_own(studio: Studio) -> None:
    plain, eight = studio.spec(), studio.spec(**EIGHT)
    assert plain.affinity_key != eight.affinity_key and plain.digest != eight.digest
    whole, half = (weigh_models(studio.catalogue, spec, itemsize=2) for spec in (plain, eight))
    assert half.unet * 2 == whole.unet and half.text == whole.text
