"""One row of a batch: a spec with its pictures brought to its size, and what a pipeline is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.pixels import Box, Picture, cut_region, cut_surroundings, fit_picture
from engine.prompts import Words
from engine.schedules import read_eta
from schemas.errors import ConditionError, RenderError
from schemas.spec import ImageSpec

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all) of the forward pass that is running."""


@dataclass
class BatchRow:
    """A spec with its pictures at the spec's size, waiting for a forward pass."""

    spec: ImageSpec
    source: Picture | None = None
    mask: Picture | None = None
    conditions: list[Picture] = field(default_factory=list)
    whole: tuple[Picture, Picture, Box] | None = None
    """Source and mask before they were cut to a box, and the box."""
    references: list[tuple[str, Picture]] = field(default_factory=list)
    """Digest and picture, in the order of the spec's references."""
    tile: int | None = None
    """px; denoised in windows of this side (engine/windows.py)."""
    words: Words | None = None
    notes: tuple[str, ...] = ()


def make_row(
    spec: ImageSpec, sources: Mapping[str, Picture], conditions: Mapping[str, Picture], masks: Mapping[str, Picture]
) -> BatchRow:
    """Raises RenderError naming what is missing; ConditionError for a control."""
    if spec.width % 8 or spec.height % 8:
        raise RenderError(f"{spec.asset}: got {spec.width}x{spec.height}; expected sides that are multiples of 8")
    row = BatchRow(spec)
    size = {"width": spec.width, "height": spec.height}
    if spec.source is not None:
        if spec.source not in sources:
            raise RenderError(f"{spec.asset}: its source {spec.source[:12]} was not handed in")
        row.source = fit_picture(sources[spec.source], **size)
    if spec.mask is not None:
        if spec.mask not in masks:
            raise RenderError(f"{spec.asset}: its mask {spec.mask[:12]} was not handed in")
        row.mask = fit_picture(masks[spec.mask], **size)
    for reference in spec.references:
        if reference.image not in sources:
            raise RenderError(f"{spec.asset}: its reference {reference.image[:12]} was not handed in")
        row.references.append((reference.image, sources[reference.image]))
    for control in spec.controls:
        key = control.condition_key(spec.width, spec.height)
        if key not in conditions:
            raise ConditionError(f"{spec.asset}: the condition of its control {control.type!r} was not handed in")
        condition = conditions[key]
        if condition.shape != (spec.height, spec.width, 3):
            raise ConditionError(
                f"{spec.asset}: the condition of its control {control.type!r} is {condition.shape[1]}x"
                f"{condition.shape[0]}; expected {spec.width}x{spec.height} with 3 channels"
            )
        row.conditions.append(condition)
    if spec.padding_mask_crop is not None and row.source is not None and row.mask is not None:
        box = cut_surroundings(row.mask, padding=spec.padding_mask_crop, **size)
        if box is not None:
            row.whole = row.source, row.mask, box
            row.source, row.mask = cut_region(row.source, box, **size), cut_region(row.mask, box, **size)
            row.conditions = [cut_region(condition, box, **size) for condition in row.conditions]
    return row


def make_shared_arguments(spec: ImageSpec, rows: list[BatchRow], progress: Progress | None) -> dict[str, Any]:
    words = [row.words for row in rows if row.words is not None]
    call: dict[str, Any] = {
        "prompt_embeds": torch.cat([word.positive.states for word in words]),
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "eta": read_eta(spec),
    }
    negatives = [word.negative for word in words if word.negative is not None]
    if negatives:
        call["negative_prompt_embeds"] = torch.cat([text.states for text in negatives])
    for name, texts in (("", [word.positive for word in words]), ("negative_", negatives)):
        pooled = [text.pooled for text in texts if text.pooled is not None]  # SD 1.5 has none
        if pooled:
            call[f"{name}pooled_prompt_embeds"] = torch.cat(pooled)
    if spec.refiner is not None:
        call["denoising_end"] = spec.refiner.denoising_start
    if progress is not None:

        def told(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            progress(step + 1, pipe.num_timesteps)
            return tensors

        call["callback_on_step_end"] = told
    return call
