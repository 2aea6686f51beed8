"""The `hands` check: finds hands, and people who may have them, so that a reviewer looks there first.

Finding is not judging: no weights here count fingers, and no sentence says that a hand is right. Hands are looked for
  1. by `Settings.hand_model`, if set: an ONNX detector in Ultralytics' layout with class names inside (hand_yolov8),
     or MediaPipe's palm_detection_*.tflite;
  2. else by the palm detector inside a mediapipe wheel, if one is installed (its files are read, its code is not run).
Without either the result is "not checked". Faces are found by the cascade that scikit-image ships; a face says that
hands may be in the picture, never that there are none.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from checks.finders import Found, OnnxBoxes, Palms
from schemas.errors import ModelMissing
from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

PALM_FILE = "modules/palm_detection/palm_detection_full.tflite"
"""Inside the mediapipe package, up to 0.10."""
FACE_SIDE, FACE_SMALLEST = 320, 40
"""px: longest side of the picture in which faces are looked for, and the smallest face in it."""

Finder = Palms | OnnxBoxes


def look(pixels: NDArray[np.uint8], spec: ImageSpec, guide: BrandGuide, *, hand_model: Path | None = None) -> Finding:
    """ModelMissing when `hand_model` is set and not there."""
    finder = opened(hand_model or shipped())
    faces = find_faces(pixels)
    people = _people(len(faces))
    data: dict[str, object] = {"faces": len(faces)}
    if finder is None:
        missing = "no hand detector is installed (set hand_model, or install a mediapipe wheel that ships one)"
        may = f"; {people} found, so hands may be in it" if faces else ""
        sentence = f"hands were not looked for: {missing}{may}"
        return Finding(
            check=Criterion.HANDS, result=Result.NOT_CHECKED, sentence=sentence, regions=_regions(faces), data=data
        )
    found = finder.find(pixels)
    hands = [one for one in found if "hand" in one.label.lower() or "palm" in one.label.lower()]
    data |= {
        "finder": finder.name,
        "found": [{"label": one.label, "confidence": round(one.confidence, 3)} for one in found],
    }
    if not found and not faces:
        sentence = f"{finder.name} found no hands, and no faces were found; drawn ones are easily missed"
        return Finding(check=Criterion.HANDS, result=Result.PASS, sentence=sentence, data=data)
    if not hands:
        others = ", ".join(sorted({one.label for one in found})) or people
        sentence = f"no hands found by {finder.name}, but {others}: hands may be in it"
        score = 0.3
    else:
        count = "1 hand" if len(hands) == 1 else f"{len(hands)} hands"
        sentence = f"{count} found by {finder.name}; fingers were not counted"
        score = 0.4 + 0.2 * min(1.0, len(hands) / 4)
    return Finding(
        check=Criterion.HANDS,
        result=Result.FLAG,
        score=score,
        sentence=sentence,
        regions=_regions([*found, *faces]),
        data=data,
    )


def shipped() -> Path | None:
    """The palm detector in an installed mediapipe wheel. Nothing of the package is imported."""
    spec = importlib.util.find_spec("mediapipe")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / PALM_FILE).is_file():
            return path
    return None


@cache
def opened(path: Path | None) -> Finder | None:
    """Loaded once a process."""
    if path is None:
        return None
    if not path.is_file():
        raise ModelMissing(f"hand_model {path}: there is no such file (asked for by the hands check)")
    if path.suffix == ".tflite":
        return Palms(path)
    if path.suffix == ".onnx":
        return OnnxBoxes(path)
    raise ModelMissing(f"hand_model {path}: came {path.suffix or 'no ending'}; allowed are .onnx and .tflite")


def find_faces(pixels: NDArray[np.uint8]) -> list[Found]:
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
        Found("face", 1.0, box["c"] / size[0], box["r"] / size[1], box["width"] / size[0], box["height"] / size[1])
        for box in boxes
    ]


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _people(faces: int) -> str:
    return "1 face" if faces == 1 else f"{faces} faces"


def _regions(found: Sequence[Found]) -> tuple[Region, ...]:
    regions = []
    for one in found:
        (left, top), (right, bottom) = np.clip([[one.x, one.y], [one.x + one.width, one.y + one.height]], 0.0, 1.0)
        if right > left and bottom > top:
            box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
            regions.append(Region(**box, criterion=Criterion.HANDS, label=one.label))
    return tuple(regions)
