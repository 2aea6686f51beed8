"""Height, normal and roughness maps, derived from a texture's colours. They are guesses, and say so wherever they go.

Nothing was measured and no network looked: what is bright is taken for high, what is dark for rough. That is what a
material artist starts from, and why each file carries `Derived` and the sidecar `"derived": true`.

Heights lose what varies over more than an eighth of the picture (light, not shape). Edges that tile are wrapped, others
mirrored. NumPy only, in float64: the same picture gives the same bytes on every machine.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from schemas.delivery_presets import MapKind

METHOD: dict[MapKind, str] = {
    "height": "luminance without its slow part, 16 bits",
    "normal_gl": "slopes of the derived height; green points up (OpenGL)",
    "normal_dx": "slopes of the derived height; green points down (DirectX)",
    "roughness": "inverse of the derived height around 0.7",
}
BUMP = 6.0
"""Height of the whole range in pixels, for the slopes of a normal map."""

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def derive_maps(pixels: NDArray[np.uint8], kind: MapKind, *, seamless: str, digest: str) -> bytes:
    """A PNG of the picture's size: height and roughness in grey, 16 and 8 bits, normals in RGB.

    pixels: uint8 [height, width, 3]. seamless: "", "x", "y" or "xy". digest: of the image it is derived from.
    """
    height = estimate_heights(pixels, seamless=seamless)
    if kind == "height":
        picture = Image.fromarray(np.round(height * 65535).astype(np.uint16))
    elif kind == "roughness":
        picture = Image.fromarray(np.round(np.clip(0.9 - 0.4 * height, 0, 1) * 255).astype(np.uint8))
    else:
        picture = Image.fromarray(_normals(height, seamless=seamless, down=kind == "normal_dx"))
    label = PngInfo()
    label.add_text("Derived", f"{kind} derived from the colours of image {digest} ({METHOD[kind]}); not measured")
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=label, compress_level=6)
    return out.getvalue()


def estimate_heights(pixels: NDArray[np.uint8], *, seamless: str) -> NDArray[np.float64]:
    """[height, width] in 0..1."""
    bright = (pixels.astype(np.float64) / 255) @ _LUMINANCE
    detail = bright - _blurred(bright, sigma=min(bright.shape) / 8, seamless=seamless)
    low, high = np.percentile(detail, (1, 99))
    spread: NDArray[np.float64] = np.clip((detail - low) / max(high - low, 1e-6), 0.0, 1.0)
    return _blurred(spread, sigma=0.7, seamless=seamless).clip(0.0, 1.0)


def _normals(height: NDArray[np.float64], *, seamless: str, down: bool) -> NDArray[np.uint8]:
    """Tangent space, +x right, +z out of the picture; slopes as Sobel takes them."""
    around = _extended(height, 1, seamless)
    left_right = np.diff(around, axis=1)[:, :-1] + np.diff(around, axis=1)[:, 1:]
    top_down = np.diff(around, axis=0)[:-1] + np.diff(around, axis=0)[1:]
    dx = (left_right[:-2] + 2 * left_right[1:-1] + left_right[2:]) / 8
    dy = (top_down[:, :-2] + 2 * top_down[:, 1:-1] + top_down[:, 2:]) / 8
    up = -dy if down else dy
    normal = np.stack([-dx * BUMP, up * BUMP, np.ones_like(dx)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.round((normal + 1) * 127.5).astype(np.uint8)


def _extended(values: NDArray[np.float64], by: int, seamless: str) -> NDArray[np.float64]:
    for axis, name in ((0, "y"), (1, "x")):
        width = [(by, by) if at == axis else (0, 0) for at in (0, 1)]
        values = np.pad(values, width, mode="wrap" if name in seamless else "symmetric")
    return values


def _blurred(values: NDArray[np.float64], *, sigma: float, seamless: str) -> NDArray[np.float64]:
    """Gaussian, separable; beyond the edge the picture goes on as `seamless` says."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    around = _extended(values, reach, seamless)
    for axis in (0, 1):
        around = np.apply_along_axis(np.convolve, axis, around, kernel, mode="valid")
    return around
