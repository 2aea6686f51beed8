"""Between pictures and latents: sizes, the autoencoder, and the guards on what comes out of it.

Pictures are uint8 [height, width, 3]; masks uint8 [height, width], 255 where to repaint.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Generator, Tensor

from engine.memory import UNLIMITED, Policy
from schemas.errors import NotFinite

Picture = NDArray[np.uint8]

DECODE_PIXELS, DECODE_PIXELS_CPU = 2**20, 2**14
"""Decoded in one pass at most: one 1024 x 1024 picture, or sixteen of 256 x 256. On a CPU the maps of several pictures
of 256 px leave its cache: eight together take 1.4 times as long as one by one."""
SOURCES_KEPT = 32
FEATHER = 8  # px, inside a mask's edge


def fit_picture(picture: Picture, *, width: int, height: int) -> Picture:
    """The picture at exactly this size, as CSS's `cover` does it: scaled evenly until it covers, the centre kept.

    Never stretched. Enlarged with Lanczos, shrunk by area.
    """
    had_height, had_width = picture.shape[:2]
    if (had_width, had_height) == (width, height):
        return picture
    scale = max(width / had_width, height / had_height)
    size = (max(width, round(had_width * scale)), max(height, round(had_height * scale)))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def to_tensor(pictures: Sequence[Picture], *, device: torch.device) -> Tensor:
    """[rows, 3, height, width] in 0..1, float32."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255


class Sources:
    """Source pictures as the autoencoder sees them, by `key`: one encoding serves every seed and strength."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Tensor] = OrderedDict()

    def latents(
        self,
        vae: Any,
        picture: Picture,
        generator: Generator,
        *,
        key: Hashable,
        device: torch.device,
        policy: Policy = UNLIMITED,
    ) -> Tensor:
        """[1, 4, h, w], drawn from the encoder's distribution with a per-sample generator, scaled for the UNet."""
        if key not in self._known:
            dtype = vae.dtype
            if vae.config.force_upcast:
                vae.to(torch.float32)
            image = to_tensor([picture], device=device).to(vae.dtype) * 2 - 1
            _tile(vae, image.shape[-2] * image.shape[-1], policy)
            self._known[key] = vae.encode(image).latent_dist.parameters
            vae.to(dtype)
            if len(self._known) > SOURCES_KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        drawn = DiagonalGaussianDistribution(self._known[key]).sample(generator).to(vae.dtype)
        mean, std = _statistics(vae, drawn)
        return (drawn - mean) * vae.config.scaling_factor / std


def decode_latents(vae: Any, latents: Tensor, policy: Policy = UNLIMITED) -> list[Picture | NotFinite]:
    """A picture a row, or the reason why that row has none. A row that is not finite is tried once more in float32."""
    rows, _, height, width = latents.shape
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    most = DECODE_PIXELS_CPU if latents.device.type == "cpu" else DECODE_PIXELS
    together = max(1, most // (height * width * factor**2))
    half = vae.dtype == torch.float16 and vae.config.force_upcast
    out: list[Picture | NotFinite] = []
    for start in range(0, rows, together):
        chunk = latents[start : start + together]
        images = _decode(vae, chunk, torch.float32 if half else vae.dtype, policy)
        for latent, image in zip(chunk, images, strict=True):
            out.append(_checked(vae, latent, image, policy))
    return out


def _checked(vae: Any, latent: Tensor, image: Tensor, policy: Policy) -> Picture | NotFinite:
    if not torch.isfinite(latent).all():
        return NotFinite("the latents hold NaN or infinity; the model overflowed, or the prompt's weights are extreme")
    if not torch.isfinite(image).all():
        image = _decode(vae, latent[None], torch.float32, policy)[0]
        if not torch.isfinite(image).all():
            return NotFinite("the autoencoder gives NaN or infinity, in float32 too")
    levels = ((image.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def _decode(vae: Any, latents: Tensor, dtype: torch.dtype, policy: Policy) -> Tensor:
    kept = vae.dtype
    if dtype != kept:
        vae.to(dtype)
    try:
        _tile(vae, latents.shape[-2] * latents.shape[-1] * 4 ** (len(vae.config.block_out_channels) - 1), policy)
        mean, std = _statistics(vae, latents)
        scaled = latents * std / vae.config.scaling_factor + mean
        return vae.decode(scaled.to(dtype), return_dict=False)[0]
    finally:
        if dtype != kept:
            vae.to(kept)


def _tile(vae: Any, pixels: int, policy: Policy) -> None:
    vae.enable_tiling() if pixels > policy.tiled_pixels else vae.disable_tiling()


def _statistics(vae: Any, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
    mean, std = getattr(vae.config, "latents_mean", None), getattr(vae.config, "latents_std", None)
    if mean is None or std is None:
        return 0.0, 1.0
    return like.new_tensor(mean)[None, :, None, None], like.new_tensor(std)[None, :, None, None]


def paste_region(picture: Picture, source: Picture, mask: Picture) -> Picture:
    """`picture` inside the mask, `source` outside to the bit; the seam is feathered inside the mask only."""
    inside = (mask > 127).astype(np.uint8)
    if inside.all():
        return picture
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    share = np.clip(depth / (FEATHER + 1), 0, 1)[..., None]
    mixed = np.rint(picture * share + source * (1 - share)).astype(np.uint8)
    return np.where(inside[..., None] == 1, mixed, source)


def match_colours(picture: Picture, source: Picture) -> Picture:
    """`picture` with the source's mean and spread in each channel of CIE Lab (Reinhard and others, 2001)."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    wanted = cv2.cvtColor(source.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    spread = wanted.std((0, 1)) / np.maximum(lab.std((0, 1)), 1e-3)
    moved = (lab - lab.mean((0, 1))) * np.minimum(spread, 3.0) + wanted.mean((0, 1))
    rgb = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)


Box = tuple[int, int, int, int]


def cut_surroundings(mask: Picture, *, padding: int, width: int, height: int) -> Box | None:
    """(left, top, right, bottom) in px: the mask with `padding` around it, in the proportions of width to height.

    None when that is the whole picture. Inside the picture always; the mask's own box is never cut.
    """
    rows, columns = np.flatnonzero((mask > 127).any(1)), np.flatnonzero((mask > 127).any(0))
    if not len(rows):
        return None
    tall, wide = mask.shape[:2]
    left, right = max(0, int(columns[0]) - padding), min(wide, int(columns[-1]) + 1 + padding)
    top, bottom = max(0, int(rows[0]) - padding), min(tall, int(rows[-1]) + 1 + padding)
    scale = max((right - left) / width, (bottom - top) / height)
    want_w, want_h = min(wide, round(width * scale)), min(tall, round(height * scale))
    left = min(max(0, (left + right - want_w) // 2), wide - want_w)
    top = min(max(0, (top + bottom - want_h) // 2), tall - want_h)
    return None if (want_w, want_h) == (wide, tall) else (left, top, left + want_w, top + want_h)


def cut_region(picture: Picture, box: Box, *, width: int, height: int) -> Picture:
    """The box, at this size."""
    left, top, right, bottom = box
    return fit_picture(np.ascontiguousarray(picture[top:bottom, left:right]), width=width, height=height)


def put_back(picture: Picture, source: Picture, box: Box) -> Picture:
    """`source` with `picture` in the box, at the box's size."""
    left, top, right, bottom = box
    whole = source.copy()
    whole[top:bottom, left:right] = fit_picture(picture, width=right - left, height=bottom - top)
    return whole


def near_constant(picture: Picture) -> bool:
    """A picture of one colour: no channel spreads over more than two levels."""
    return bool((picture.reshape(-1, 3).max(0).astype(int) - picture.reshape(-1, 3).min(0)).max() <= 2)
