"""Height, normal, roughness, occlusion and metallic maps, derived from a texture's colours: guesses that say so.

Nothing was measured and no network looked: what is bright is taken for high, what is dark for rough, what lies lower
than its surroundings for shadowed. That is what a material artist starts from, and why each file carries `Derived` and
the sidecar `"derived": true`. Metal is what the manifest says: a number, or a mask.

Heights lose what varies over more than an eighth of the picture (light, not shape). Edges that tile are wrapped, others
mirrored. NumPy only, in float64: the same picture gives the same values on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from schemas.delivery_files import Channel, MapKind

Values = NDArray[np.float64]

METHOD: dict[MapKind, str] = {
    "height": "luminance without its slow part, 16 bits",
    "normal_gl": "slopes of the derived height; green points up (OpenGL)",
    "normal_dx": "slopes of the derived height; green points down (DirectX)",
    "roughness": "inverse of the derived height around 0.7",
    "ao": "how far the derived height lies under its surroundings, over 1, 2 and 4 % of the picture",
    "metallic": "as the manifest says: a number or a mask",
}
BUMP = 6.0
"""Height of the whole range in pixels, for the slopes of a normal map."""
SHADOW = 2.0
"""Shadow of a place that lies under its surroundings by the whole range, before it is cut to 1."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


class DerivedMaps:
    """The maps of one picture, each computed when it is asked for.

    pixels: uint8 [height, width, 3]. seamless: "", "x", "y" or "xy". metallic: 0..1, or a mask [height, width] of them.
    """

    def __init__(self, pixels: NDArray[np.uint8], *, seamless: str, metallic: float | Values = 0.0) -> None:
        self.pixels, self.seamless, self.metallic = pixels, seamless, metallic

    @cached_property
    def heights(self) -> Values:
        return estimate_heights(self.pixels, seamless=self.seamless)

    def derive(self, kind: MapKind | Channel) -> Values:
        """[height, width], or [height, width, 3] of normals; in 0..1."""
        height = self.heights
        if kind == "height":
            return height
        if kind in ("roughness", "smoothness"):
            rough: Values = np.clip(0.9 - 0.4 * height, 0, 1)
            return rough if kind == "roughness" else 1 - rough
        if kind == "ao":
            return self._occlusion()
        if kind in ("black", "white"):
            return np.full_like(height, float(kind == "white"))
        if kind == "metallic":
            return np.broadcast_to(np.asarray(self.metallic, np.float64), height.shape)
        return (_normals(height, seamless=self.seamless, down=kind == "normal_dx") + 1) / 2

    def pack(self, channels: Sequence[Channel]) -> Values:
        """[height, width, 3 or 4]."""
        return np.stack([self.derive(channel) for channel in channels], axis=-1)

    def _occlusion(self) -> Values:
        height, side = self.heights, min(self.heights.shape)
        under = [
            np.maximum(_blurred(height, sigma=max(1.0, side * part), seamless=self.seamless) - height, 0)
            for part in (0.01, 0.02, 0.04)
        ]
        open_sky: Values = np.clip(1 - SHADOW * np.mean(under, axis=0), 0, 1)
        return open_sky


def estimate_heights(pixels: NDArray[np.uint8], *, seamless: str) -> Values:
    """[height, width] in 0..1."""
    bright = (pixels.astype(np.float64) / 255) @ _LUMINANCE
    detail = bright - _blurred(bright, sigma=min(bright.shape) / 8, seamless=seamless)
    low, high = np.percentile(detail, (1, 99))
    spread: Values = np.clip((detail - low) / max(high - low, 1e-6), 0.0, 1.0)
    return _blurred(spread, sigma=0.7, seamless=seamless).clip(0.0, 1.0)


def _normals(height: Values, *, seamless: str, down: bool) -> Values:
    """Tangent space in -1..1, +x right, +z out of the picture; slopes as Sobel takes them."""
    around = _extended(height, 1, seamless)
    left_right = np.diff(around, axis=1)[:, :-1] + np.diff(around, axis=1)[:, 1:]
    top_down = np.diff(around, axis=0)[:-1] + np.diff(around, axis=0)[1:]
    dx = (left_right[:-2] + 2 * left_right[1:-1] + left_right[2:]) / 8
    dy = (top_down[:, :-2] + 2 * top_down[:, 1:-1] + top_down[:, 2:]) / 8
    up = -dy if down else dy
    normal: Values = np.stack([-dx * BUMP, up * BUMP, np.ones_like(dx)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _extended(values: Values, by: int, seamless: str) -> Values:
    for axis, name in ((0, "y"), (1, "x")):
        width = [(by, by) if at == axis else (0, 0) for at in (0, 1)]
        values = np.pad(values, width, mode="wrap" if name in seamless else "symmetric")
    return values


def _blurred(values: Values, *, sigma: float, seamless: str) -> Values:
    """Gaussian, separable; beyond the edge the picture goes on as `seamless` says."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    around = _extended(values, reach, seamless)
    for axis in (0, 1):
        around = np.apply_along_axis(np.convolve, axis, around, kernel, mode="valid")
    return around
