"""What a picture is like to the model that made it: a row's own, from its middle block, and missing without harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from engine.vectors import NONE_COMPUTED, PART_SEEN
from schemas.likeness import PICTURE, PROMPT
from schemas.spec import Hires, ImageSpec
from tests.engine.conftest import Studio, get_pixels


def cosine(one: Any, other: Any) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("fields", [
    {}, {"guidance_scale": 1.0}, {"pag_scale": 2.0}, {"guidance_scale": 1.0, "pag_scale": 2.0}, {"guidance_end": 0.5},
], ids=str)  # fmt: skip
def test_a_row_s_vectors_do_not_depend_on_its_batch(engine: Engine, studio: Studio, fields: dict[str, Any]) -> None:
    specs = [studio.spec(seed, **fields) for seed in range(3)]
    together = studio.render(engine, specs)
    assert [sorted(row.vectors) for row in together] == [[PICTURE, PROMPT]] * 3
    alone = studio.render(engine, specs[1:2])[0]
    assert np.allclose(alone.vectors[PICTURE], together[1].vectors[PICTURE], rtol=1e-3, atol=1e-3)
    assert np.array_equal(alone.vectors[PROMPT], together[1].vectors[PROMPT])
    assert not np.allclose(together[0].vectors[PICTURE], together[1].vectors[PICTURE], rtol=1e-2, atol=1e-2)
    channels = engine.models.pipeline(specs[0], asker="test").unet.config.block_out_channels[-1]
    assert together[0].vectors[PICTURE].shape == (channels,) and together[0].vectors[PICTURE].dtype == np.float32


def test_it_is_the_conditional_half_of_the_last_step(engine: Engine, studio: Studio) -> None:
    """Seen by a hook of the test's own, on the same render."""
    seen: list[torch.Tensor] = []
    unet = engine.models.pipeline(studio.spec(0), asker="test").unet
    hook = unet.mid_block.register_forward_hook(lambda module, given, output: seen.append(output.clone()))
    rows = studio.render(engine, [studio.spec(0), studio.spec(1)])
    hook.remove()
    assert len(seen) == 3 and seen[-1].shape[0] == 4
    for number, row in enumerate(rows):
        assert np.allclose(row.vectors[PICTURE], seen[-1][2 + number].mean(dim=(1, 2)).numpy(), rtol=1e-5)
    assert not unet.mid_block._forward_hooks


def test_a_model_that_shows_no_middle_block_makes_its_picture_all_the_same(
    engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = studio.render(engine, [studio.spec(0)])[0]
    unet = engine.models.pipeline(studio.spec(0), asker="test").unet
    block = unet.mid_block.forward  # as another runtime computes it: no module of PyTorch's is called
    monkeypatch.setattr(type(unet.mid_block), "__call__", lambda module, *given, **named: block(*given, **named))
    row = studio.render(engine, [studio.spec(0)])[0]
    assert PICTURE not in row.vectors and PROMPT in row.vectors and NONE_COMPUTED in row.notes
    assert np.array_equal(get_pixels(row), get_pixels(plain))


def test_two_passes_have_the_first_s_and_a_cut_region_has_none(engine: Engine, studio: Studio) -> None:
    sizes: dict[str, Any] = {"width": 128, "height": 96}
    hires = Hires(width=64, height=48, strength=0.5, tile=64)
    large = studio.render(engine, [studio.spec(0, **sizes, hires=hires)])[0]
    small = studio.render(engine, [studio.spec(0)])[0]
    assert get_pixels(large).shape == (96, 128, 3) and PART_SEEN not in large.notes
    assert np.allclose(large.vectors[PICTURE], small.vectors[PICTURE], rtol=1e-4, atol=1e-4)
    region: ImageSpec = studio.spec(0, source="a" * 64, mask="e" * 64, strength=1.0, padding_mask_crop=8)
    row = studio.render(engine, [region])[0]
    assert PICTURE not in row.vectors and PART_SEEN in row.notes and row.pixels is not None
