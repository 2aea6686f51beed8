"""What a finding measured, for the eye: colours beside the palette's, the letters that were read, where to look closer.

What the checks keep in `Finding.data` is described there (checks/brand.py, text.py, hands.py); what is missing is left
out, since findings of older versions have less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region

MOST_COLOURS, SMALLEST = 6, 0.02
"""Colours of a finding that are shown, and the share from which one is."""
MOST_CLOSE_UPS = 6
LARGEST = 0.5
"""Share of the picture from which a place needs no close-up."""
LONGEST = 200
"""Letters that are compared; schemas.manifest.TextRequest allows as many."""


def show_evidence(finding: Finding) -> dict[str, Any]:
    """`colours`: {colour, share, nearest, distance, off}, the largest first. `ground`: the colour that was left out.

    `letters`: (asked, read, same), one a letter, empty where one side has none. `close_ups`: regions.
    """
    data = finding.data
    shown: dict[str, Any] = {}
    if finding.check is Criterion.BRAND and (colours := _list_colours(data)):
        shown["colours"] = colours
        if _is_colour(data.get("ground")):
            shown["ground"] = data["ground"]
    must_read = data.get("must_read")
    if isinstance(must_read, Mapping):
        shown["letters"] = align(str(must_read.get("expected", "")), str(must_read.get("reading", "")))
    if finding.check in (Criterion.HANDS, Criterion.TEXT) and (places := _list_close_ups(finding.regions)):
        shown["close_ups"] = places
    return shown


def read_palette(guide: BrandGuide) -> dict[str, Any] | None:
    """The palette and its tolerance (CIEDE2000); None without one."""
    return {"colours": list(guide.palette), "tolerance": guide.tolerance} if guide.palette else None


def align(asked: str, read: str) -> list[tuple[str, str, bool]]:
    """Letter by letter, whatever the case; what one side lacks is empty there."""
    one, other = (" ".join(text.split())[:LONGEST] for text in (asked, read))
    folded = [[letter.casefold() for letter in text] for text in (one, other)]
    rows: list[tuple[str, str, bool]] = []
    matcher = SequenceMatcher(None, folded[0], folded[1], autojunk=False)
    for tag, left, left_end, right, right_end in matcher.get_opcodes():
        pairs = zip_longest(one[left:left_end], other[right:right_end], fillvalue="")
        rows += [(a, b, tag == "equal") for a, b in pairs]
    return rows


def _list_colours(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    tolerance = data.get("tolerance", 12.0)
    dominant: Any = data.get("dominant") or []
    rows = [
        {**one, "off": one["distance"] > tolerance}
        for one in dominant
        if _is_colour(one.get("colour")) and _is_colour(one.get("nearest")) and one["share"] >= SMALLEST
    ]
    return rows[:MOST_COLOURS]


def _list_close_ups(regions: tuple[Region, ...]) -> list[dict[str, Any]]:
    small = [region for region in regions if 0 < region.width * region.height < LARGEST]
    return [region.model_dump(mode="json", exclude={"criterion"}) for region in small[:MOST_CLOSE_UPS]]


def _is_colour(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value) is not None
