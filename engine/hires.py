"""A large picture in two passes: composed at the size the model knows, then enlarged and drawn over (img2img).

Both passes are ordinary renders. The first is the spec itself at `hires`'s size; its picture, enlarged, is the second's
source. Conditions are computed at the final size and shrunk for the first pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from engine.pixels import Picture, fit_picture
from engine.rendered import Rendered, combine
from schemas.spec import ImageSpec

EDGE = 16  # px wrapped around a seamless picture while it is enlarged


def render_two_passes(
    render: Callable[..., list[Rendered]],
    specs: Sequence[ImageSpec],
    *,
    conditions: Mapping[str, Picture],
    by: Callable[..., Picture] | None,
    **pictures: Any,
) -> list[Rendered]:
    """One `Rendered` a spec, in order; `render` is the engine's own, `by` a learned enlarger."""
    # 1. small
    small = [_first(spec) for spec in specs]
    shrunk = {
        control.condition_key(first.width, first.height): fit_picture(
            conditions[control.condition_key(spec.width, spec.height)], width=first.width, height=first.height
        )
        for spec, first in zip(specs, small, strict=True)
        for control in spec.controls
        if control.condition_key(spec.width, spec.height) in conditions
    }
    firsts = render(small, conditions=shrunk, **pictures)
    # 2. large, over what became something
    seconds: list[tuple[int, ImageSpec]] = []
    sources: dict[str, Picture] = dict(pictures.get("sources") or {})  # references are seen again
    for number, (spec, first) in enumerate(zip(specs, firsts, strict=True)):
        if first.pixels is not None:
            large = enlarge(first.pixels, width=spec.width, height=spec.height, axes=spec.seamless, by=by)
            name = hashlib.sha256(large.tobytes()).hexdigest()
            sources[name] = large
            seconds.append((number, _second(spec, name)))
    rest = {"progress": pictures.get("progress"), "tile": specs[0].hires.tile if specs[0].hires else None}
    made = render([spec for _, spec in seconds], sources=sources, conditions=conditions, **rest)
    # 3. together
    out = [replace(first, digest=spec.digest) for spec, first in zip(specs, firsts, strict=True)]
    for (number, _), second in zip(seconds, made, strict=True):
        out[number] = combine(firsts[number], second, digest=specs[number].digest)
    return out


def enlarge(
    picture: Picture, *, width: int, height: int, axes: str = "", by: Callable[..., Picture] | None = None
) -> Picture:
    """Lanczos, or `by`; what is seamless stays so, since its edges are wrapped while it is resampled."""
    had_height, had_width = picture.shape[:2]
    left, top = (EDGE if "x" in axes else 0), (EDGE if "y" in axes else 0)
    wrapped = np.pad(picture, ((top, top), (left, left), (0, 0)), mode="wrap")
    scale_x, scale_y = width / had_width, height / had_height
    size = (round(wrapped.shape[1] * scale_x), round(wrapped.shape[0] * scale_y))
    large = (
        cv2.resize(wrapped, size, interpolation=cv2.INTER_LANCZOS4)
        if by is None
        else by(wrapped, width=size[0], height=size[1])
    )
    x, y = round(left * scale_x), round(top * scale_y)
    return np.ascontiguousarray(large[y : y + height, x : x + width])


def _first(spec: ImageSpec) -> ImageSpec:
    assert spec.hires is not None
    small = {"hires": None, "width": spec.hires.width, "height": spec.hires.height}
    return ImageSpec.model_validate(spec.model_dump() | small)


def _second(spec: ImageSpec, source: str) -> ImageSpec:
    assert spec.hires is not None
    steps = spec.hires.num_inference_steps or spec.num_inference_steps
    over = {
        "hires": None,
        "source": source,
        "strength": spec.hires.strength,
        "num_inference_steps": steps,
        "mask": None,
    }
    return ImageSpec.model_validate(spec.model_dump() | over)
