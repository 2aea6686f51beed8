"""The second pass in overlapping windows: every place is covered, no line stands where windows meet, nothing stays."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import windows
from engine.diffuse import Engine
from schemas.spec import Hires
from tests.engine.conftest import Studio
from tests.engine.test_hires import render

SIZE = {"width": 160, "height": 96}
HIRES = Hires(width=80, height=48, strength=1.0, num_inference_steps=3)


def test_a_window_as_large_as_the_picture_is_no_window(engine: Engine, studio: Studio) -> None:
    whole, one = (
        render(engine, studio, studio.spec(0, **SIZE, hires=HIRES.model_copy(update={"tile": tile})))[0]
        for tile in (None, 192)
    )
    np.testing.assert_array_equal(whole.pixels, one.pixels)


@pytest.mark.parametrize("axes", ["", "x"])
@pytest.mark.parametrize(("wide", "window"), [(160, 64), (96, 48), (100, 32)])
def test_no_line_stands_where_windows_meet(axes: str, wide: int, window: int) -> None:
    """A network that contradicts itself from window to window: its answers fade into each other over the overlap."""
    unet = SimpleNamespace(config=SimpleNamespace(block_out_channels=(1, 1, 1)))
    said = iter(range(1000))
    answer = lambda part, t: (torch.full_like(part, float(next(said) % 2)),)  # noqa: E731
    row = windows._forward(unet, answer, window, 8, axes, torch.zeros(1, 1, 16, wide), 0)[0][0, 0, 0]
    around = torch.cat([row, row[:1]]) if axes else row
    assert next(said) >= 2 and float(row.max() - row.min()) == pytest.approx(1.0, abs=0.35)
    assert float(around.diff().abs().max()) <= 1.0 / (window * windows.OVERLAP)


def test_controls_are_cut_to_the_windows(engine: Engine, studio: Studio) -> None:
    """With a control, and around the edges of a seamless picture."""
    hires = HIRES.model_copy(update={"tile": 64})
    plain = studio.spec(0, **SIZE, hires=hires)
    led = studio.spec(0, **SIZE, hires=hires, controls=(studio.control(),), seamless="xy")
    made = [render(engine, studio, spec)[0] for spec in (plain, led)]
    assert [row.error for row in made] == [None, None]
    assert (made[0].pixels != made[1].pixels).any() and made[1].pixels.shape == (96, 160, 3)


def test_rows_in_windows_do_not_depend_on_each_other_and_nothing_stays(engine: Engine, studio: Studio) -> None:
    hires = HIRES.model_copy(update={"tile": 64})
    specs = [studio.spec(n, **SIZE, hires=hires, guidance_end=0.7) for n in range(2)]
    together = render(engine, studio, *specs)
    alone = render(engine, studio, specs[1])[0]
    assert np.abs(together[1].pixels.astype(int) - alone.pixels.astype(int)).max() <= 1
    assert "forward" not in vars(engine.models._base.unet)


def test_a_window_is_told_where_it_is(engine: Engine, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    whole = type(engine.models._base.unet).forward

    def listening(unet: torch.nn.Module, sample: torch.Tensor, timestep: Any, *given: Any, **named: Any) -> Any:
        told.append((tuple(sample.shape[-2:]), tuple(named["added_cond_kwargs"]["time_ids"][0].int().tolist())))
        return whole(unet, sample, timestep, *given, **named)

    monkeypatch.setattr(type(engine.models._base.unet), "forward", listening)
    hires = Hires(width=64, height=48, strength=0.5, num_inference_steps=2, tile=64)
    render(engine, studio, studio.spec(0, width=128, height=96, num_inference_steps=1, hires=hires))
    factor = 2 ** (len(engine.models._base.vae.config.block_out_channels) - 1)
    assert told[0] == ((48 // factor, 64 // factor), (48, 64, 0, 0, 48, 64)), "the first pass is whole"
    assert {shape for shape, _ in told[1:]} == {(64 // factor, 64 // factor)}
    assert {(ids[2], ids[3]) for _, ids in told[1:]} == {(y, x) for y in (0, 32) for x in (0, 32, 64)}
    assert {ids[4:] for _, ids in told[1:]} == {(64, 64)}


@settings(deadline=None, max_examples=60)
@given(st.integers(16, 300), st.integers(16, 300), st.sampled_from([16, 32, 64]), st.sampled_from(["", "x", "xy"]))
def test_every_place_is_covered_and_weighs_one(tall: int, wide: int, window: int, axes: str) -> None:
    """A network that says what it is shown gives the whole back, whatever the windows are."""
    unet = SimpleNamespace(config=SimpleNamespace(block_out_channels=(1, 1, 1)))
    sample = torch.randn(1, 1, tall, wide)
    said = windows._forward(unet, lambda part, t: (part,), window, 8, axes, sample, 0)[0]
    torch.testing.assert_close(said, sample, atol=1e-5, rtol=1e-5)
    for side in (tall, wide):
        begins, length = windows.list_starts(side, window, grain=4, around=False)
        overlaps = [a + length - b for a, b in pairwise(begins)]
        assert begins[-1] + length == side and all(overlap >= 1 for overlap in overlaps)


def test_specs_of_different_windows_share_no_batch(studio: Studio) -> None:
    one, other = (studio.spec(0, **SIZE, hires=HIRES.model_copy(update={"tile": tile})) for tile in (64, 128))
    assert one.batch_key != other.batch_key and one.digest != other.digest
