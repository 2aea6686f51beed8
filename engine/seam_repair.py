"""A texture whose edges do not meet: rolled by half, so that they lie in the middle, and painted over there.

The second pass is an ordinary inpaint of a cross (or one bar) around the middle lines. What was the middle is the edge
now, and meets itself, so that pass is made seamless. Outside the cross the picture stays to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.pixels import Picture
from engine.rendered import Rendered, combine
from schemas.spec import ImageSpec

BAR = 1 / 4
"""Of a side: how wide the painted bar over a seam is."""


def repair_seams(
    render: Callable[..., list[Rendered]],
    specs: Sequence[ImageSpec],
    *,
    conditions: Mapping[str, Picture],
    sources: Mapping[str, Picture],
    **pictures: Any,
) -> list[Rendered]:
    """One `Rendered` a spec, in order; `render` is the engine's own."""
    # 1. as asked, seams and all
    plain = [ImageSpec.model_validate(spec.model_dump() | {"seam_repair": None}) for spec in specs]
    firsts = render(plain, conditions=conditions, sources=sources, **pictures)
    # 2. the seams again, in the middle
    over: list[tuple[int, ImageSpec]] = []
    rolled: dict[str, Picture] = dict(sources)
    masks: dict[str, Picture] = {}
    for number, (spec, first) in enumerate(zip(specs, firsts, strict=True)):
        if first.pixels is None:
            continue
        middle = roll_by_half(first.pixels, _axes(spec))
        cross = make_seam_mask(spec.width, spec.height, _axes(spec))
        names = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in (middle, cross)]
        rolled[names[0]], masks[names[1]] = middle, cross
        over.append((number, _second(spec, *names)))
    turned_conditions = {key: roll_by_half(condition, _axes(specs[0])) for key, condition in conditions.items()}
    progress = {"progress": pictures.get("progress")}
    made = render([s for _, s in over], conditions=turned_conditions, sources=rolled, masks=masks, **progress)
    # 3. back
    out = [replace(first, digest=spec.digest) for spec, first in zip(specs, firsts, strict=True)]
    for (number, _), second in zip(over, made, strict=True):
        both = combine(firsts[number], second, digest=specs[number].digest)
        back = None if both.pixels is None else roll_by_half(both.pixels, _axes(specs[number]), back=True)
        out[number] = replace(both, pixels=back)
    return out


def roll_by_half(picture: Picture, axes: str, *, back: bool = False) -> Picture:
    """[height, width, ...] rolled by half along "x", "y" or "xy"."""
    height, width = picture.shape[:2]
    by = height // 2 if "y" in axes else 0, width // 2 if "x" in axes else 0
    return np.ascontiguousarray(np.roll(picture, (-by[0], -by[1]) if back else by, (0, 1)))


def make_seam_mask(width: int, height: int, axes: str) -> Picture:
    """[height, width] uint8: 255 where the seams are painted over, once they lie in the middle."""
    mask = np.zeros((height, width), np.uint8)
    half_x, half_y = max(4, round(width * BAR / 2)), max(4, round(height * BAR / 2))
    if "x" in axes:  # left meets right: an upright bar
        mask[:, width // 2 - half_x : width // 2 + half_x] = 255
    if "y" in axes:
        mask[height // 2 - half_y : height // 2 + half_y] = 255
    return mask


def _axes(spec: ImageSpec) -> str:
    assert spec.seam_repair is not None
    return spec.seam_repair.axes


def _second(spec: ImageSpec, source: str, mask: str) -> ImageSpec:
    assert spec.seam_repair is not None
    over = {
        "seam_repair": None,
        "hires": None,
        "source": source,
        "mask": mask,
        "padding_mask_crop": None,
        "strength": spec.seam_repair.strength,
        "seamless": "xy",
    }
    return ImageSpec.model_validate(spec.model_dump() | over)
