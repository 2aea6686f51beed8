"""Faults in a real UNet and VAE: only the culprit fails, and what was done about it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from engine.guards import classify_error
from engine.model_files import ModelFiles
from schemas.errors import DeviceLost, NotFinite, OutOfMemory, RenderError
from tests.engine.conftest import Studio


@pytest.fixture
def unet(engine: Engine, studio: Studio) -> Iterator[torch.nn.Module]:
    """The real UNet, whose `forward` a test may wrap; put back afterwards."""
    studio.render(engine, [studio.spec(0)])
    engine.batch_sizer._most.clear()
    unet = engine.models._base.unet
    yield unet
    unet.__dict__.pop("forward", None)
    engine.batch_sizer._most.clear()


def wrap(
    module: torch.nn.Module,
    before: Callable[[torch.Tensor], None] | None = None,
    after: Callable[[Any], Any] | None = None,
) -> None:
    """Runs `before(given)` and `after(said)` around the module's real forward."""
    real = type(module).forward

    def forward(*given: Any, **named: Any) -> Any:
        if before:
            before(given[0])
        said = real(module, *given, **named)
        return after(said) if after else said

    module.forward = forward


@pytest.mark.parametrize("fits", [1, 2, 3, 5])
def test_out_of_memory_halves_the_batch_and_says_so(
    engine: Engine, studio: Studio, unet: torch.nn.Module, fits: int
) -> None:
    specs = [studio.spec(n) for n in range(6)]
    expected = [row.pixels for row in studio.render(engine, specs)]
    sizes = []

    def full(sample: torch.Tensor) -> None:
        sizes.append(sample.shape[0] // 2)
        if sample.shape[0] // 2 > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    wrap(unet, before=full)
    rows = studio.render(engine, specs)
    assert all(row.error is None for row in rows)
    assert max(row.batch_size for row in rows) <= fits
    for row, picture in zip(rows, expected, strict=True):
        assert np.abs(row.pixels.astype(int) - picture.astype(int)).max() <= 1
        assert "no room for 6 at once; made in batches of 3" in row.notes
    sizes.clear()
    again = studio.render(engine, specs)  # what fits is remembered: nothing is tried in vain a second time
    assert max(sizes) <= fits and all(row.error is None for row in again)


def test_no_room_for_a_single_row_is_that_rows_error(engine: Engine, studio: Studio, unet: torch.nn.Module) -> None:
    def full(sample: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    wrap(unet, before=full)
    rows = studio.render(engine, [studio.spec(n) for n in range(2)])
    assert [type(row.error) for row in rows] == [OutOfMemory, OutOfMemory]
    assert all(row.pixels is None for row in rows)


def test_memory_is_tried_again_only_after_the_exception_is_gone(
    engine: Engine, studio: Studio, unet: torch.nn.Module
) -> None:
    """The exception of a failed forward holds its tensors; if it were alive at the second try, so would they be."""
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def full(sample: torch.Tensor) -> None:
        if held:
            assert held[0]() is None
        if sample.shape[0] // 2 > 1:
            big = torch.zeros(1000, 1000)
            held.append(weakref.ref(big))
            raise torch.OutOfMemoryError("out of memory")

    wrap(unet, before=full)
    rows = studio.render(engine, [studio.spec(n) for n in range(2)])
    assert held and all(row.error is None for row in rows)


@pytest.mark.parametrize("poisoned", [0, 1, 2])
def test_a_row_that_is_not_finite_fails_alone(
    engine: Engine, studio: Studio, unet: torch.nn.Module, poisoned: int
) -> None:
    specs = [studio.spec(n) for n in range(3)]
    expected = [row.pixels for row in studio.render(engine, specs)]

    def poison(said: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        said[0][[poisoned, poisoned + 3]] = float("nan")
        return said

    wrap(unet, after=poison)
    rows = studio.render(engine, specs)
    for number, row in enumerate(rows):
        if number == poisoned:
            assert row.pixels is None and isinstance(row.error, NotFinite)
        else:
            assert np.abs(row.pixels.astype(int) - expected[number].astype(int)).max() <= 1


def test_a_poisonous_prompt_fails_alone(engine: Engine, studio: Studio, unet: torch.nn.Module) -> None:
    """Weights so large that the encoders' states overflow: one row's own embeddings, in a batch with sound ones."""
    rows = studio.render(engine, [studio.spec(0), studio.spec(1, prompt="(a boat:1e39)".replace("1e39", "9" * 39))])
    assert rows[0].error is None
    assert isinstance(rows[1].error, NotFinite)


def test_a_vae_that_overflows_is_tried_once_in_float32(catalogue: ModelFiles, studio: Studio) -> None:
    from engine.diffuse import Engine

    engine = Engine(catalogue, device="cpu", dtype="bfloat16")
    spec = studio.spec(0)
    sound = studio.render(engine, [spec])[0].pixels
    vae = engine.models._base.vae
    real, tried = vae.decode, []

    def overflow(latents: torch.Tensor, **named: Any) -> tuple[torch.Tensor, ...]:
        tried.append(latents.dtype)
        said = real(latents, **named)
        return (said[0] * float("nan"),) if latents.dtype == torch.bfloat16 else said

    vae.decode = overflow
    row = studio.render(engine, [spec])[0]
    assert row.error is None and np.abs(row.pixels.astype(int) - sound.astype(int)).mean() < 4
    assert tried == [torch.bfloat16, torch.float32]
    assert vae.dtype == torch.bfloat16


def test_a_row_that_raises_fails_alone(engine: Engine, studio: Studio, unet: torch.nn.Module) -> None:
    specs = [studio.spec(n) for n in range(3)]
    studio.render(engine, specs)
    noise = torch.randn(1, 4, 12, 16, generator=torch.Generator().manual_seed(specs[1].seed))

    def picky(sample: torch.Tensor) -> None:
        scale = sample[0].norm() / noise.norm()
        if any(torch.allclose(row / scale, noise[0], atol=0.2) for row in sample):
            raise ValueError("this row cannot be had")

    wrap(unet, before=picky)
    rows = studio.render(engine, specs)
    assert [row.error is None for row in rows] == [True, False, True]
    assert isinstance(rows[1].error, RenderError) and "ValueError: this row cannot be had" in str(rows[1].error)
    assert all("its rows were made one by one" in row.notes[0] for row in rows)


def test_a_lost_device_ends_the_batch(engine: Engine, studio: Studio, unet: torch.nn.Module) -> None:
    def lost(sample: torch.Tensor) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    wrap(unet, before=lost)
    with pytest.raises(DeviceLost, match="illegal memory access"):
        studio.render(engine, [studio.spec(n) for n in range(2)])


def test_nearly_one_colour_is_noted(engine: Engine, studio: Studio, unet: torch.nn.Module) -> None:
    studio.render(engine, [studio.spec(0)])
    vae = engine.models._base.vae
    vae.decode = lambda latents, **named: (torch.full((len(latents), 3, 48, 64), 0.3),)
    try:
        row = studio.render(engine, [studio.spec(0)])[0]
    finally:
        del vae.__dict__["decode"]
    assert row.error is None and row.notes == ("nearly one colour",)


def test_reasons() -> None:
    assert isinstance(classify_error(torch.OutOfMemoryError("x")), OutOfMemory)
    assert isinstance(classify_error(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")), OutOfMemory)
    assert isinstance(classify_error(torch.AcceleratorError("CUDA error: unspecified launch failure")), DeviceLost)
    assert isinstance(classify_error(NotFinite("x")), NotFinite)
    assert type(classify_error(TypeError("x"))) is RenderError
