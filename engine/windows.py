"""The denoising of a large picture in overlapping windows, each as large as the model was trained at.

At every step the UNet sees one window after the other; their answers are averaged, each fading out over its overlap, so
that neighbours agree at every step and no line can stand between them. Of MultiDiffusion (arXiv 2302.08113), which
weighs all alike. A window is told (SDXL's size conditioning) which part of the whole it is. ControlNets see the whole.
Along a seamless axis windows go around the edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

OVERLAP = 0.25
"""Of a window's side, at least."""


@contextmanager
def denoise_in_windows(unet: Any, *, tile: int | None, factor: int, axes: str) -> Iterator[None]:
    """Within it, `unet` works in windows of `tile` px (`factor` px a latent) wherever a picture is larger than one.

    Its forward is overridden and given back, whatever happened; hooks on the UNet still see the whole.
    """
    if tile is None:
        yield
        return
    with replace_forward(unet, partial(_forward, unet, unet.forward, tile // factor, factor, axes)):
        yield


@contextmanager
def replace_forward(unet: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """Within it `unet` answers by `forward`; afterwards as before, which may be somebody else's override."""
    before = unet.__dict__.get("forward")
    unet.forward = forward
    try:
        yield
    finally:
        if before is None:
            del unet.forward
        else:
            unet.forward = before


def find_grain(unet: Any) -> int:
    """Latents to one value of the deepest block."""
    return int(2 ** (len(unet.config.block_out_channels) - 1))


def list_inner_axes(axes: str, *, tile: int | None, width: int, height: int) -> str:
    """Seamless axes along which one window is the whole picture, so that its own edges meet."""
    sides = {"x": width, "y": height}
    return "".join(axis for axis in axes if tile is None or sides[axis] <= tile)


def _forward(
    unet: Any, whole: Any, window: int, factor: int, axes: str, sample: Tensor, timestep: Any, *given: Any, **named: Any
) -> Any:
    height, width = sample.shape[-2:]
    grain = find_grain(unet)
    tops, tall = list_starts(height, window, grain=grain, around="y" in axes)
    lefts, wide = list_starts(width, window, grain=grain, around="x" in axes)
    if (tall, wide) == (height, width):
        return whole(sample, timestep, *given, **named)
    total, weights = torch.zeros_like(sample, dtype=torch.float32), sample.new_zeros(height, width, dtype=torch.float32)
    for top in tops:
        for left in lefts:
            rows = (torch.arange(tall, device=sample.device) + top) % height
            columns = (torch.arange(wide, device=sample.device) + left) % width
            cut = partial(_cut, height=height, width=width, top=top, left=left, tall=tall, wide=wide)
            inside = {name: _told(name, value, cut, factor) for name, value in named.items()}
            answer = whole(cut(sample), timestep, *given, **inside)
            share = _fade(rows, height, "y" in axes)[:, None] * _fade(columns, width, "x" in axes)[None]
            total[..., rows[:, None], columns] += answer[0].float() * share
            weights[rows[:, None], columns] += share
    return ((total / weights).to(sample.dtype),)


def list_starts(side: int, window: int, *, grain: int, around: bool) -> tuple[list[int], int]:
    """Where windows begin, evenly spread at multiples of `grain` (the last at the edge), and how long they are."""
    if window >= side:
        return [0], side
    overlap = min(window - grain, max(2 * grain, int(window * OVERLAP)))  # rounding may cost one grain of it
    if around:
        count = math.ceil(side / (window - overlap))
        return sorted({round(number * side / count / grain) * grain % side for number in range(count)}), window
    count = math.ceil((side - overlap) / (window - overlap))
    last = side - window
    inner = {min(last, round(number * last / (count - 1) / grain) * grain) for number in range(count - 1)}
    return sorted(inner | {last}), window


def _fade(places: Tensor, side: int, around: bool) -> Tensor:
    """A window's weight at its places: 1 in the middle, falling towards its ends over the overlap; not at the edges of
    the picture, where it has no neighbour."""
    many = len(places)
    reach = max(1, int(many * OVERLAP))
    steps = torch.arange(1, many + 1, device=places.device, dtype=torch.float32)
    rising, falling = (steps / (reach + 1)).clamp(max=1), (steps.flip(0) / (reach + 1)).clamp(max=1)
    if not around and int(places[0]) == 0:
        rising = torch.ones_like(rising)
    if not around and int(places[-1]) == side - 1:
        falling = torch.ones_like(falling)
    return rising * falling


def _cut(value: Tensor, *, height: int, width: int, top: int, left: int, tall: int, wide: int) -> Tensor:
    """The window's part of a map over the whole picture, at whatever scale it is."""
    high, broad = value.shape[-2:]
    rows = (torch.arange(tall * high // height, device=value.device) + top * high // height) % high
    columns = (torch.arange(wide * broad // width, device=value.device) + left * broad // width) % broad
    return value.index_select(-2, rows).index_select(-1, columns)


def _told(name: str, value: Any, cut: Any, factor: int) -> Any:
    """What a window gets of the UNet's further arguments: its part of ControlNets' and adapters' maps; where it is."""
    if name in ("down_block_additional_residuals", "down_intrablock_additional_residuals") and value is not None:
        return [cut(part) for part in value]
    if name == "mid_block_additional_residual" and value is not None:
        return cut(value)
    if name == "added_cond_kwargs" and value and "time_ids" in value:
        ids = value["time_ids"].clone()
        place = cut.keywords
        for column, latents in zip(range(2, ids.shape[1]), ("top", "left", "tall", "wide"), strict=False):
            ids[:, column] = place[latents] * factor
        return value | {"time_ids": ids}
    return value
