"""The `brand` check: how far the subject's colours are from the guide's palette.

A flat ground is left out (checks/ground.py): a green key on white is green, whatever the palette says of white.
Distances are CIEDE2000 (CIE 142-2001; skimage's), taken at every pixel of an even grid; nearby off-palette colours are
gathered into a few that can be named and shown. Logos that are given as pictures are looked for (checks/logos.py).
What stands for the look so far, the project's approved images and the guide's references, is compared as a whole
(checks/look.py). Whether a shape or a mood is on brand is for a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from checks.ground import find_subject
from checks.logos import Logos
from checks.look import Likeness, Look, LookSet, measure_look
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

GRID = 96
"""Pixels along the longer side that are looked at; picked, not averaged, since an average is a new colour."""
COLOURS = 8
"""Dominant colours that are gathered at most."""
OFF_SHARE = 0.35
"""Share of off-palette pixels that flags: below it lie shading, outlines, soft edges and small accents. Of 128 drawn
things those in the palette's colours have up to 0.28, the others 0.71 and more (bench/quality.py)."""
NAMED_SHARE = 0.03
UNLIKE = 0.9
"""Share of the approved pictures that are nearer to their next than this one is, from which it is said."""
FAR = 1.5
"""Of drawn things of kinds that were never approved this flags 6% in the approved look and 88% in another
(bench/truth.py, 96 pictures)."""
DIGEST = 64
"""Letters of an image's digest; other names are those of reference pictures."""


@dataclass(frozen=True)
class Dominant:
    """One of a picture's main colours, the palette's nearest, and the CIEDE2000 distance between them."""

    colour: str
    share: float
    nearest: str
    distance: float


def check_brand(
    pixels: NDArray[np.uint8],
    spec: ImageSpec,
    guide: BrandGuide,
    *,
    logos: Logos | None = None,
    approved: LookSet | None = None,
) -> Finding:
    """`logos`: the guide's, as pictures. `approved`: the project's approved images and the guide's references, by
    digest and by path."""
    subject = _Subject.find(pixels)
    look = measure_look(pixels, subject.lab, subject.mask)
    colours = [_find_forbidden(subject, guide)] if guide.forbidden_colours else []
    colours += [_compare_palette(subject, guide)] if guide.palette else []
    logo = _check_logos(pixels, logos) if logos is not None else None
    likeness = approved.compare(look) if approved is not None else None
    alike = [_describe_likeness(likeness)] if likeness is not None else []
    looks = [*colours, *([logo] if logo is not None else []), *alike]
    data: dict[str, object] = {"look": list(look)}
    if not looks:
        sentence = "not compared: the manifest's brand guide has no palette"
        return Finding(check=Criterion.BRAND, result=Result.NOT_CHECKED, sentence=sentence, data=data)
    flagged = [one for one in looks if one.result is Result.FLAG]
    passed = [*colours[-1:], *([logo] if logo is not None and (logo.regions or not colours) else []), *alike]
    data |= {"subject_share": round(float(subject.mask.mean()), 3), "tolerance": guide.tolerance} if colours else {}
    if colours and not subject.is_whole:
        data["ground"] = _hex(np.median(subject.picked[~subject.mask], axis=0).astype(np.uint8))
    for one in looks:
        data |= one.data
    return Finding(
        check=Criterion.BRAND,
        result=Result.FLAG if flagged else Result.PASS,
        score=max(one.score for one in looks),
        sentence="; ".join(one.sentence for one in flagged or passed),
        regions=tuple(region for one in looks for region in one.regions),
        data=data,
    )


def _describe_likeness(found: Likeness) -> Finding:
    """A flag where it is FAR times as far from all of them as any of them is from its nearest: what is only a new kind
    of thing is not."""
    pictures, is_far = f"{found.count} approved pictures", found.distance > FAR * found.spread
    said = f"as near to the {pictures} as they are to each other"
    if is_far:
        said = f"much farther from all {pictures} than any of them is from the next"
    elif found.share >= UNLIKE:
        said = f"farther from the {pictures} than {found.share:.0%} of them are from the next"
    return Finding(
        check=Criterion.BRAND,
        result=Result.FLAG if is_far else Result.PASS,
        score=min(1.0, found.distance) if is_far else 0.0,
        sentence=f"look: {said}",
        data={
            "approved_distance": found.distance, "approved_share": round(found.share, 3),
            "nearest_approved": [name for name in found.nearest if len(name) == DIGEST],
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Subject:
    """Pixels on the grid, [height, width, 3] as sRGB and as CIELAB, and which of them are not the ground."""

    picked: NDArray[np.uint8]
    lab: NDArray[np.float64]
    mask: NDArray[np.bool_]

    @classmethod
    def find(cls, pixels: NDArray[np.uint8]) -> _Subject:
        picked = _sample_pixels(pixels)
        lab = to_lab(picked)
        return cls(picked, lab, find_subject(lab))

    @property
    def is_whole(self) -> bool:
        return bool(self.mask.all())

    @property
    def name(self) -> str:
        return "picture" if self.is_whole else "subject"

    def measure_share(self, of: NDArray[np.bool_]) -> float:
        return float((of & self.mask).sum() / self.mask.sum())


def _find_forbidden(subject: _Subject, guide: BrandGuide) -> Finding:
    forbidden = np.zeros(subject.mask.shape, bool)
    shares = {}
    for colour, lab in zip(guide.forbidden_colours, _parse(guide.forbidden_colours), strict=True):
        near = measure_distances(lab, subject.lab) <= guide.tolerance
        share = subject.measure_share(near)
        if share >= NAMED_SHARE:
            shares[colour] = round(share, 3)
            forbidden |= near & subject.mask
    data: dict[str, object] = {"forbidden_colours": shares}
    if not shares:
        sentence = f"no forbidden colour in the {subject.name}"
        return Finding(check=Criterion.BRAND, result=Result.PASS, sentence=sentence, data=data)
    named = ", ".join(f"{colour} ({share:.0%})" for colour, share in shares.items())
    return Finding(
        check=Criterion.BRAND,
        result=Result.FLAG,
        score=1.0,
        sentence=f"forbidden colour in the {subject.name}: {named}",
        regions=_largest(forbidden, label="forbidden colour"),
        data=data,
    )


def _compare_palette(subject: _Subject, guide: BrandGuide) -> Finding:
    palette = _parse(guide.palette)
    distance = np.stack([measure_distances(lab, subject.lab) for lab in palette], axis=-1).min(-1)
    off = (distance > guide.tolerance) & subject.mask
    share = subject.measure_share(off)
    dominant = []
    for centre, part in group_colours(subject.picked[subject.mask], subject.lab[subject.mask]):
        far = measure_distances(to_lab(centre[None])[0], palette)
        best = int(far.argmin())
        dominant.append(Dominant(_hex(centre), part, guide.palette[best], float(far[best])))
    data: dict[str, object] = {
        "on_palette_share": round(1 - share, 3),
        "mean_distance": round(float(distance[subject.mask].mean()), 2),
        "dominant": [
            {"colour": d.colour, "share": round(d.share, 3), "nearest": d.nearest, "distance": round(d.distance, 1)}
            for d in dominant
        ],
    }
    within = f"{1 - share:.0%} of the {subject.name} is within {guide.tolerance:g} of the palette"
    if share < OFF_SHARE:
        return Finding(check=Criterion.BRAND, result=Result.PASS, score=share, sentence=within, data=data)
    strangers = [one for one in dominant if one.distance > guide.tolerance and one.share >= NAMED_SHARE]
    names = ", ".join(f"{d.colour} ({d.share:.0%}, {d.distance:.0f} from {d.nearest})" for d in strangers[:4])
    return Finding(
        check=Criterion.BRAND,
        result=Result.FLAG,
        score=share,
        sentence=f"only {within}; off it: {names or 'many small areas'}",
        regions=_largest(off, label="off palette"),
        data=data,
    )


def _check_logos(pixels: NDArray[np.uint8], logos: Logos) -> Finding:
    """A pass where each logo that is found is as it must be; that one is not found is no fault."""
    found = logos.find(pixels)
    wrong = [one for one in found if one.faults]
    names = ", ".join(one.name for one in found if not one.faults)
    sentence = f"logo as it must be: {names}" if names else "no logo found"
    if wrong:
        sentence = "; ".join(f"logo {one.name} is {' and '.join(one.faults)}" for one in wrong)
    numbers = [
        {"name": one.name, "matches": one.matches, "stretch": round(one.stretch, 3), "slant": round(one.slant, 3),
         "missing": round(one.missing, 3), "colour_distance": round(one.colour_distance, 1)}
        for one in found
    ]  # fmt: skip
    return Finding(
        check=Criterion.BRAND, result=Result.FLAG if wrong else Result.PASS, score=1.0 if wrong else 0.0,
        sentence=sentence, regions=tuple(one.box for one in (wrong or found)), data={"logos": numbers},
    )  # fmt: skip


def measure_picture(pixels: NDArray[np.uint8]) -> Look:
    subject = _Subject.find(pixels)
    return measure_look(pixels, subject.lab, subject.mask)


def _parse(colours: tuple[str, ...]) -> NDArray[np.float64]:
    """#rrggbb, several -> CIELAB [n, 3]."""
    if not colours:
        return np.empty((0, 3))
    return to_lab(np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours], np.uint8))


def list_main_colours(pixels: NDArray[np.uint8]) -> str:
    """As storage/ledger/colours.py keeps them: "rrggbb:percent", the largest first."""
    picked = _sample_pixels(pixels)
    found = group_colours(picked.reshape(-1, 3), to_lab(picked).reshape(-1, 3))
    return " ".join(f"{_hex(colour)[1:]}:{round(share * 100)}" for colour, share in found if share >= 0.005)


def _sample_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = max(1, -(-max(pixels.shape[:2]) // GRID))
    return np.ascontiguousarray(pixels[step // 2 :: step, step // 2 :: step])


def to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """uint8 sRGB [..., 3] -> CIELAB, D65."""
    from skimage.color import rgb2lab

    found: NDArray[np.float64] = rgb2lab(pixels)
    return found


def measure_distances(colour: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIEDE2000 from one CIELAB colour to each of [..., 3]."""
    from skimage.color import deltaE_ciede2000

    found: NDArray[np.float64] = deltaE_ciede2000(np.broadcast_to(colour, colours.shape), colours)
    return found


def group_colours(pixels: NDArray[np.uint8], colours: NDArray[np.float64]) -> list[tuple[NDArray[np.uint8], float]]:
    """Main colours and their shares, largest first: k-means in CIELAB from fixed beginnings, so always the same.

    It begins with the darkest pixel and then with the one farthest from all beginnings so far.
    """
    points = colours.astype(np.float32)
    starts = [int(points[:, 0].argmin())]
    nearest = np.linalg.norm(points - points[starts[0]], axis=1)
    while len(starts) < COLOURS and nearest.max() > 6.0:
        starts.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[starts[-1]], axis=1))
    centres = points[starts]
    for _ in range(8):
        member = ((points[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [points[member == k].mean(0) if (member == k).any() else centres[k] for k in range(len(centres))]
        )
    found = []
    for k in range(len(centres)):
        own = member == k
        if own.any():  # the median is a colour that is really there
            found.append((np.median(pixels[own], axis=0).astype(np.uint8), float(own.mean())))
    return sorted(found, key=lambda one: -one[1])


def _largest(off: NDArray[np.bool_], *, label: str, count: int = 3) -> tuple[Region, ...]:
    """Boxes around the largest connected areas."""
    height, width = off.shape
    total, _, areas, _ = cv2.connectedComponentsWithStats(off.astype(np.uint8), connectivity=8)
    boxes = sorted((areas[index] for index in range(1, total)), key=lambda box: -box[cv2.CC_STAT_AREA])
    return tuple(
        Region(
            x=box[0] / width,
            y=box[1] / height,
            width=box[2] / width,
            height=box[3] / height,
            criterion=Criterion.BRAND,
            label=label,
        )
        for box in boxes[:count]
        if box[cv2.CC_STAT_AREA] >= NAMED_SHARE * off.size
    )


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)
