"""Textures that tile: convolutions that see the opposite edge instead of zeros, on one axis or both.

A network whose every convolution pads circularly commutes with rolling its input along that axis, so no column is an
edge. Group norm and attention do so anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn import functional as F


@contextmanager
def use_circular_padding(modules: Iterable[nn.Module], axes: str) -> Iterator[None]:
    """Within it, `modules` pad circularly along `axes`: "", "x" (width), "y" (height) or "xy".

    Overrides are set on instances and taken off again, whatever happened, so that nothing leaks into the next batch.
    """
    if not axes:
        yield
        return
    changed: list[tuple[nn.Module, str]] = []
    try:
        for module in modules:
            for part in module.modules():
                if isinstance(part, nn.Conv2d) and part.padding not in (0, (0, 0)):
                    part._conv_forward = partial(_circular_conv, part, axes)  # type: ignore[method-assign]
                    changed.append((part, "_conv_forward"))
                elif isinstance(part, Downsample2D) and part.use_conv and part.padding == 0:
                    part.forward = partial(_circular_downsample, part, axes)
                    changed.append((part, "forward"))
        yield
    finally:
        for part, name in changed:
            delattr(part, name)


def _circular_conv(conv: nn.Conv2d, axes: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert isinstance(conv.padding, tuple)
    height, width = conv.padding
    around = (width if "x" in axes else 0, height if "y" in axes else 0)
    x = _pad_around(x, (around[0], around[0], around[1], around[1]))
    zeros = (height - around[1], width - around[0])  # along the other axis, the convolution's own
    return F.conv2d(x, weight, bias, conv.stride, zeros, conv.dilation, conv.groups)


def _circular_downsample(part: Downsample2D, axes: str, x: Tensor, *args: object, **kwargs: object) -> Tensor:
    """The autoencoder's way: one column and one row more at the far edges, then a convolution without padding."""
    if part.norm is not None:
        x = part.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    x = _pad_around(x, (0, int("x" in axes), 0, int("y" in axes)))
    return part.conv(F.pad(x, (0, int("x" not in axes), 0, int("y" not in axes))))


def _pad_around(x: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Left, right, above, below. Where channels come last they do so in the copy too: a convolution would else lay all
    out anew."""
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return F.pad(x, sides, mode="circular")
    return F.pad(x.permute(0, 2, 3, 1)[None], (0, 0, *sides), mode="circular")[0].permute(0, 3, 1, 2)
