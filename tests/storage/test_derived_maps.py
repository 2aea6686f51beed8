"""Derived maps: what slopes up is brighter, edges that tile go on meeting, and every file says that it is derived."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.delivery_files import MapKind
from storage.derived_maps import METHOD, DerivedMaps, estimate_heights
from storage.texture_files import to_levels

DIGEST = "3" * 64
RAMP = np.linspace(0, 2 * np.pi, 64, endpoint=False)


def waves(*, along: int) -> np.ndarray:
    """One period of a sine, so that it tiles."""
    bright = (127.5 + 100 * np.sin(RAMP)).astype(np.uint8)
    grid = np.repeat(bright[:, None], 64, axis=1)
    return np.repeat((grid if along == 0 else grid.T)[..., None], 3, axis=2)


def derive(pixels: np.ndarray, kind: MapKind, *, seamless: str = "xy") -> np.ndarray:
    return to_levels(DerivedMaps(pixels, seamless=seamless).derive(kind), 8)


@pytest.mark.parametrize("kind", list(METHOD))
def test_every_map_has_the_picture_s_size_and_is_the_same_every_time(kind: MapKind) -> None:
    made = DerivedMaps(waves(along=0), seamless="xy").derive(kind)
    assert made.shape == ((64, 64, 3) if kind.startswith("normal") else (64, 64))
    assert made.min() >= 0 and made.max() <= 1
    assert (DerivedMaps(waves(along=0), seamless="xy").derive(kind) == made).all()


def test_normals_point_away_from_what_is_high_and_directx_is_opengl_upside_down() -> None:
    gl = derive(waves(along=0), "normal_gl", seamless="xy")
    dx = derive(waves(along=0), "normal_dx", seamless="xy")
    rising, falling = 4, 32  # brightness grows downwards at the first, falls at the second
    assert gl[rising, :, 1].min() > 135 and gl[falling, :, 1].max() < 120
    assert np.abs(gl[..., 1].astype(int) + dx[..., 1] - 255).max() <= 1
    assert np.abs(gl[..., 0].astype(int) - 127.5).max() <= 1  # nothing slopes sideways
    flat = derive(np.full((32, 32, 3), 90, np.uint8), "normal_gl", seamless="")
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


def test_what_lies_low_is_shadowed_and_what_is_flat_is_not() -> None:
    pixels = np.full((96, 96, 3), 180, np.uint8)
    pixels[44:52, :] = 40  # a groove
    occlusion = DerivedMaps(pixels, seamless="xy").derive("ao")
    assert occlusion[46:50].max() < 0.8 and occlusion[:30].min() > 0.95
    assert (DerivedMaps(np.full((32, 32, 3), 90, np.uint8), seamless="").derive("ao") == 1).all()


def test_packed_channels_are_the_maps_themselves() -> None:
    metal = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    maps = DerivedMaps(waves(along=1), seamless="xy", metallic=metal)
    packed = maps.pack(["metallic", "ao", "black", "smoothness"])
    assert packed.shape == (64, 64, 4)
    assert (packed[..., 0] == metal).all() and (packed[..., 1] == maps.derive("ao")).all()
    assert (packed[..., 2] == 0).all() and (packed[..., 3] == 1 - maps.derive("roughness")).all()
