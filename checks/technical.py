"""The `technical` check: black, flat, blurred, banded, seams of seamless textures, too like another of its asset.

Measures are in sharpness.py, banding.py, seams.py and likeness.py; the limits below were set on the photographs of
scikit-image and the drawings of models/studio_tiny, sharp and spoilt (tests/checks/). What is measured is always in
the finding's data, flagged or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from checks.banding import find_banding
from checks.likeness import compute_perceptual_hash
from checks.seams import PARTS, measure_seams, measure_tone_step
from checks.sharpness import limit_edge_width, measure_edge_width
from schemas.likeness import distance
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

FLAT = 6.0
"""Levels between the 1st and 99th percentile, in the liveliest channel; less is one colour."""
BLACK = 8.0
"""Mean level; darker is black when flat as well."""
BANDED_SHARE = 0.05
SEAM, SEAM_PART = 1.9, 2.45
"""Energy across the edge over that of the strongest lines inside; whole edge, and an eighth of it. Of 48 materials that
tile 3 are above them, of 48 cuts that do not tile 37 (bench/quality.py)."""
TONE_RATIO, TONE_LEVELS = 2.2, 4.0
NAMED = 5
"""Look-alikes that a finding names."""


@dataclass
class Measurements:
    """What is wrong, worst first to be sorted out by `score`."""

    score: float
    words: str
    regions: tuple[Region, ...] = ()
    data: dict[str, object] = field(default_factory=dict)


def check_technical(
    pixels: NDArray[np.uint8], spec: ImageSpec, guide: BrandGuide, *, siblings: Mapping[str, str] | None = None
) -> Finding:
    """`siblings`: digest -> perceptual hash of the asset's other images."""
    data: dict[str, object] = {}
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = list(_flat(pixels, data))
    if not seen:  # of one colour there is nothing more to say
        seen += [*_blurred(grey, data), *_banded(grey, data)]
    if spec.seamless:
        seen += _seams(pixels, spec.seamless, data)
    seen += _alike(pixels, spec, siblings or {}, data)
    seen.sort(key=lambda one: -one.score)
    if not seen:
        looked = "not black, flat, blurred or banded" + (", no seam" if spec.seamless else "")
        others = "like none of its siblings" if siblings else "no siblings yet to compare with"
        return Finding(check=Criterion.TECHNICAL, result=Result.PASS, sentence=f"{looked}; {others}", data=data)
    return Finding(
        check=Criterion.TECHNICAL,
        result=Result.FLAG,
        score=seen[0].score,
        sentence="; ".join(one.words for one in seen),
        regions=tuple(region for one in seen for region in one.regions),
        data=data,
    )


def _flat(pixels: NDArray[np.uint8], data: dict[str, object]) -> Iterable[Measurements]:
    low, high = np.percentile(pixels.reshape(-1, 3), (1, 99), axis=0)
    spread, mean = float((high - low).max()), float(pixels.mean())
    data |= {"spread": round(spread, 1), "mean": round(mean, 1)}
    if spread < FLAT:
        words = "black" if mean < BLACK else "one flat colour"
        yield Measurements(1.0, f"{words}: 98 % of the pixels lie within {spread:.0f} levels")


def _blurred(grey: NDArray[np.float32], data: dict[str, object]) -> Iterable[Measurements]:
    width, allowed = measure_edge_width(grey), limit_edge_width(grey)
    if width is None:
        data["edge_width"] = None
        return
    data |= {"edge_width": round(width, 2), "edge_width_allowed": round(allowed, 2)}
    if width > allowed:
        score = min(1.0, 0.5 * width / allowed)
        yield Measurements(
            score, f"blurred: its sharpest edges are {width:.1f} px wide, {allowed:.1f} is sharp at this size"
        )


def _banded(grey: NDArray[np.float32], data: dict[str, object]) -> Iterable[Measurements]:
    mask = find_banding(grey)
    share = float(mask.mean())
    data["banded"] = round(share, 3)
    if share >= BANDED_SHARE:
        yield Measurements(min(1.0, 0.4 + share), f"banding in {share:.0%} of the picture", (_around(mask, "banding"),))


def _seams(pixels: NDArray[np.uint8], axes: str, data: dict[str, object]) -> Iterable[Measurements]:
    for axis, edges in (("x", "left and right"), ("y", "top and bottom")):
        if axis not in axes:
            continue
        name: Literal["x", "y"] = "x" if axis == "x" else "y"
        whole, parts = measure_seams(pixels, name)
        levels, ratio = measure_tone_step(pixels, name)
        data |= {
            f"seam_{axis}": round(whole, 2),
            f"seam_{axis}_parts": [round(part, 2) for part in parts],
            f"tone_{axis}": [round(levels, 1), round(ratio, 2)],
        }
        bad = [index for index, part in enumerate(parts) if part > SEAM_PART]
        if whole > SEAM or bad:
            strength = max([whole / SEAM, *(parts[index] / SEAM_PART for index in bad)])
            where = bad or range(PARTS)
            words = f"seam where {edges} meet: {max([whole, *parts]):.1f} times as hard as the hardest lines inside"
            yield Measurements(min(1.0, 0.5 * strength), words, tuple(_edge(axis, index) for index in _runs(where)))
        elif levels > TONE_LEVELS and ratio > TONE_RATIO:
            words = f"{edges} differ in tone by {levels:.0f} levels, which will show as stripes"
            yield Measurements(min(1.0, 0.25 * ratio), words, (_edge(axis, (0, PARTS)),))


def _alike(
    pixels: NDArray[np.uint8], spec: ImageSpec, siblings: Mapping[str, str], data: dict[str, object]
) -> Iterable[Measurements]:
    own = compute_perceptual_hash(pixels)
    data["perceptual_hash"] = own
    # What is repaired or promoted is like its parent on purpose. Others may be added while this runs: hence the list.
    skipped = {spec.digest, spec.parent if spec.source else None}
    near = [
        (apart, digest)
        for digest, other in list(siblings.items())
        if digest not in skipped and (apart := distance(own, other)) <= 1
    ]
    near.sort()
    data["alike"] = [digest for _, digest in near[:NAMED]]
    if near:
        names = ", ".join(digest[:8] for _, digest in near[:NAMED])
        more = f" and {len(near) - NAMED} more" if len(near) > NAMED else ""
        yield Measurements(max(0.3, 0.6 - 0.3 * near[0][0]), f"almost the same picture as {names}{more}")


def _runs(indexes: Iterable[int]) -> list[tuple[int, int]]:
    """[0, 1, 2, 5] -> [(0, 3), (5, 6)]."""
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def _edge(axis: str, part: tuple[int, int]) -> Region:
    """Part of the left (or top) edge, a twentieth of the picture wide; the other side's is its twin."""
    along, length = part[0] / PARTS, (part[1] - part[0]) / PARTS
    if axis == "x":
        return Region(x=0, y=along, width=0.05, height=length, criterion=Criterion.TECHNICAL, label="seam")
    return Region(x=along, y=0, width=length, height=0.05, criterion=Criterion.TECHNICAL, label="seam")


def _around(mask: NDArray[np.bool_], label: str) -> Region:
    """The box around a mask of cells."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    x, y = columns[0] / width, rows[0] / height
    return Region(
        x=x,
        y=y,
        width=(columns[-1] + 1) / width - x,
        height=(rows[-1] + 1) / height - y,
        criterion=Criterion.TECHNICAL,
        label=label,
    )
