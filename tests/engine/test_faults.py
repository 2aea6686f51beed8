"""Faults at every batch size and every position in it: only the culprit fails, and the others are what they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.diffuse import Engine
from schemas.errors import NotFinite, OutOfMemory
from schemas.spec import ImageSpec
from tests.engine.conftest import HEIGHT, WIDTH, Studio
from tests.engine.test_guards import unet, wrap

__all__ = ["unet"]

PLACES = [(size, place) for size in (1, 2, 3, 4) for place in range(size)]


@pytest.fixture(scope="module")
def sound(engine: Engine, studio: Studio) -> tuple[list[ImageSpec], list[np.ndarray]]:
    """Four specs of one step each, and what they look like when nothing fails."""
    specs = [studio.spec(number, num_inference_steps=1) for number in range(4)]
    return specs, [row.pixels for row in studio.render(engine, specs)]


def only_the_culprit_failed(
    rows: list[Any], expected: list[np.ndarray], culprit: int | None, error: type[Exception] | None
) -> None:
    for number, row in enumerate(rows):
        if number == culprit:
            assert row.pixels is None and type(row.error) is error
        else:
            assert row.error is None
            assert np.abs(row.pixels.astype(int) - expected[number].astype(int)).max() <= 1


@pytest.mark.parametrize(("size", "culprit"), PLACES)
def test_a_row_for_which_there_is_never_room(
    engine: Engine,
    studio: Studio,
    unet: torch.nn.Module,
    sound: tuple[list[ImageSpec], list[np.ndarray]],
    size: int,
    culprit: int,
) -> None:
    specs, expected = sound
    factor = 2 ** (len(engine.models._base.vae.config.block_out_channels) - 1)
    shape = (1, 4, HEIGHT // factor, WIDTH // factor)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(specs[culprit].seed)).flatten()

    def full(sample: torch.Tensor) -> None:
        if any(torch.cosine_similarity(row.flatten(), noise, dim=0) > 0.99 for row in sample):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    wrap(unet, before=full)
    only_the_culprit_failed(studio.render(engine, specs[:size]), expected, culprit, OutOfMemory)


@pytest.mark.parametrize(("size", "fits"), [(size, fits) for size in (2, 3, 4) for fits in range(1, size)])
def test_room_for_fewer_rows_than_came(
    engine: Engine,
    studio: Studio,
    unet: torch.nn.Module,
    sound: tuple[list[ImageSpec], list[np.ndarray]],
    size: int,
    fits: int,
) -> None:
    def full(sample: torch.Tensor) -> None:
        if sample.shape[0] // 2 > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    wrap(unet, before=full)
    rows = studio.render(engine, sound[0][:size])
    only_the_culprit_failed(rows, sound[1], None, None)
    assert max(row.batch_size for row in rows) <= fits


@pytest.mark.parametrize(("size", "culprit"), PLACES)
def test_a_row_that_is_not_finite(
    engine: Engine,
    studio: Studio,
    unet: torch.nn.Module,
    sound: tuple[list[ImageSpec], list[np.ndarray]],
    size: int,
    culprit: int,
) -> None:
    def poison(said: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        said[0][[culprit, culprit + size]] = float("nan")
        return said

    wrap(unet, after=poison)
    only_the_culprit_failed(studio.render(engine, sound[0][:size]), sound[1], culprit, NotFinite)


@pytest.mark.parametrize("culprit", range(4))
def test_a_row_that_the_autoencoder_cannot_decode(
    engine: Engine, studio: Studio, sound: tuple[list[ImageSpec], list[np.ndarray]], culprit: int
) -> None:
    """Finite before it and not after, in float32 too."""
    specs, expected = sound
    vae = engine.models._base.vae
    real = vae.decode
    latents: list[torch.Tensor] = []

    def overflow(given: torch.Tensor, **named: Any) -> tuple[torch.Tensor]:
        images = real(given, **named)[0].clone()
        latents[:] = latents or list(given.clone())
        for number, latent in enumerate(given):
            if torch.equal(latent, latents[culprit]):
                images[number] = float("inf")
        return (images,)

    vae.decode = overflow
    try:
        rows = studio.render(engine, specs)
    finally:
        del vae.__dict__["decode"]
    only_the_culprit_failed(rows, expected, culprit, NotFinite)
