"""Derived maps: what slopes up is brighter, edges that tile go on meeting, and every file says that it is derived."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tasks.delivery.derived_maps import METHOD, derive_maps, estimate_heights

DIGEST = "3" * 64
RAMP = np.linspace(0, 2 * np.pi, 64, endpoint=False)


def waves(*, along: int) -> np.ndarray:
    """One period of a sine, so that it tiles."""
    bright = (127.5 + 100 * np.sin(RAMP)).astype(np.uint8)
    grid = np.repeat(bright[:, None], 64, axis=1)
    return np.repeat((grid if along == 0 else grid.T)[..., None], 3, axis=2)


def opened(data: bytes) -> tuple[np.ndarray, dict]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return np.asarray(picture), dict(picture.info)


@pytest.mark.parametrize("kind", list(METHOD))
def test_every_map_is_a_png_that_says_it_is_derived(kind: str) -> None:
    made = derive_maps(waves(along=0), kind, seamless="xy", digest=DIGEST)  # type: ignore[arg-type]
    pixels, info = opened(made)
    assert pixels.shape == ((64, 64, 3) if kind.startswith("normal") else (64, 64))
    assert pixels.dtype == (np.uint16 if kind == "height" else np.uint8)
    assert "derived" in info["Derived"] and DIGEST in info["Derived"]
    assert derive_maps(waves(along=0), kind, seamless="xy", digest=DIGEST) == made  # type: ignore[arg-type]


def test_normals_point_away_from_what_is_high_and_directx_is_opengl_upside_down() -> None:
    gl, _ = opened(derive_maps(waves(along=0), "normal_gl", seamless="xy", digest=DIGEST))
    dx, _ = opened(derive_maps(waves(along=0), "normal_dx", seamless="xy", digest=DIGEST))
    rising, falling = 4, 32  # brightness grows downwards at the first, falls at the second
    assert gl[rising, :, 1].min() > 135 and gl[falling, :, 1].max() < 120
    assert np.abs(gl[..., 1].astype(int) + dx[..., 1] - 255).max() <= 1
    assert np.abs(gl[..., 0].astype(int) - 127.5).max() <= 1  # nothing slopes sideways
    flat, _ = opened(derive_maps(np.full((32, 32, 3), 90, np.uint8), "normal_gl", seamless="", digest=DIGEST))
    assert (flat == np.array([128, 128, 255])).all()


def test_what_tiles_goes_on_tiling() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    shifted = np.roll(picture, (17, 5), (0, 1))
    wrapped = np.roll(estimate_heights(picture, seamless="xy"), (17, 5), (0, 1))
    assert np.abs(estimate_heights(shifted, seamless="xy") - wrapped).max() < 1e-9
    assert (
        np.abs(
            estimate_heights(shifted, seamless="") - np.roll(estimate_heights(picture, seamless=""), (17, 5), (0, 1))
        ).max()
        > 0.05
    )
