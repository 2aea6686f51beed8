"""All checks that an image's criteria ask for. They advise: none keeps an image from a person, whatever it says.

A check that crashes is an `error` that names the exception; only a check that really looked can say `pass`.
Composition is for people alone and is never examined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from checks import brand, hands, technical, text
from checks.brand import list_main_colours
from checks.likeness import compute_perceptual_hash
from checks.logos import Logos
from checks.look import LookSet
from schemas.manifest import BrandGuide, TextRequest
from schemas.review import Criterion, Finding, Result
from schemas.settings import TextReader
from schemas.spec import ImageSpec

__all__ = ["Expectations", "compute_perceptual_hash", "list_main_colours", "run_checks"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expectations:
    """What an image is compared with."""

    guide: BrandGuide
    text_request: TextRequest | None = None
    """Words that must be in the picture."""
    siblings: Mapping[str, str] = field(default_factory=dict)
    """Digest -> perceptual hash of the asset's other images."""
    hand_model: Path | None = None
    text_readers: Mapping[str, TextReader] = field(default_factory=dict)
    """By language; without one the text is read by rapidocr's own model."""
    logos: Logos | None = None
    approved: LookSet | None = None
    """What stands for the look so far: approved images and the brand's references."""


def run_checks(
    pixels: NDArray[np.uint8], spec: ImageSpec, expected: Expectations, *, criteria: Iterable[Criterion]
) -> list[Finding]:
    """One finding for each criterion asked for that has a check, in the order of `Criterion`; never raises.

    pixels: uint8 [height, width, 3].
    `technical` is examined whether asked for or not: a black or blurred image is nobody's wish.
    """
    asked = {*criteria, Criterion.TECHNICAL}
    guide = expected.guide
    looks: dict[Criterion, Callable[[], Finding]] = {
        Criterion.HANDS: lambda: hands.check_hands(pixels, spec, guide, hand_model=expected.hand_model),
        Criterion.TEXT: lambda: text.check_text(
            pixels, spec, guide, request=expected.text_request, readers=expected.text_readers
        ),
        Criterion.BRAND: lambda: brand.check_brand(
            pixels, spec, guide, logos=expected.logos, approved=expected.approved
        ),
        Criterion.TECHNICAL: lambda: technical.check_technical(pixels, spec, guide, siblings=expected.siblings),
    }
    return [_run_check(criterion, look) for criterion, look in looks.items() if criterion in asked]


def _run_check(criterion: Criterion, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as wrong:
        log.exception("the %s check failed", criterion)
        said = f"the check itself failed: {type(wrong).__name__}: {wrong}"
        return Finding(check=criterion, result=Result.ERROR, sentence=said[:500], data={"error": type(wrong).__name__})
