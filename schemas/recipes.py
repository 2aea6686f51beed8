"""Named recipes for repairs: what a retoucher would set first for that place.

The manifest's own strength, words and context win over a recipe's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """`prompt` goes before the asset's own, `negative_prompt` before its negative one."""

    strength: float
    padding_mask_crop: int
    """px of context around the place that its painting sees"""
    prompt: str = ""
    negative_prompt: str = ""


RECIPES: Mapping[Literal["hands", "face", "detail", "replace"], Recipe] = {
    "hands": Recipe(0.6, 48, "a well drawn hand with five fingers", "extra fingers, missing fingers, fused fingers"),
    "face": Recipe(0.45, 64, "a well drawn face, even eyes", "distorted face, crossed eyes"),
    "detail": Recipe(0.35, 32, "fine detail, sharp", "blurry"),
    "replace": Recipe(1.0, 64),
}
