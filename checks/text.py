"""The `text` check: reads what can be read (rapidocr, whose models are in its wheel) and holds it against the guide.

Words are reported exactly as they were read, misspelt or not: nothing here corrects them, since SHOF on a sign that
should say SHOP is what a reviewer must see. Readings that are unsure (below SURE) or of a single letter, which a reader
of text finds in gems and crowns, stay in the data and flag nothing, unless the guide forbids that very word.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.manifest import BrandGuide
from schemas.review import Criterion, Finding, Region, Result
from schemas.spec import ImageSpec

SURE = 0.8
"""Confidence from which a reading counts. Of 40 drawn signs 39 are read as sure, of 25 other drawings none."""
SMALLEST, LARGEST = 320, 960
"""px, longest side as it is read: smaller pictures are enlarged, larger ones shrunk."""
THREADS = 1
"""Of the runtime; images are checked side by side already."""

_reading = threading.Lock()


@dataclass(frozen=True)
class Line:
    """Text read in one place: as it was read, how surely (0 to 1), and where."""

    text: str
    sure: float
    box: Region

    @property
    def words(self) -> list[str]:
        return [word for word in (plain(part) for part in self.text.split()) if word]

    @property
    def counts(self) -> bool:
        return self.sure >= SURE and sum(map(str.isalnum, self.text)) >= 2


def look(pixels: NDArray[np.uint8], spec: ImageSpec, guide: BrandGuide) -> Finding:
    try:
        lines = read(pixels)
    except ModuleNotFoundError as missing:
        words = f"not looked for: {missing.name} is not installed (it comes with the [generate] install)"
        return Finding(check=Criterion.TEXT, result=Result.NOT_CHECKED, sentence=words)
    data: dict[str, object] = {
        "lines": [{"text": line.text, "confidence": round(line.sure, 3), "counts": line.counts} for line in lines],
        "text_expected": guide.text_expected,
    }
    forbidden = [line for line in lines if _holds(line.words, guide.forbidden_words)]
    unwanted = [line for line in lines if line.counts and line not in forbidden and not _may_be(line, guide)]
    unsure = sum(not line.counts for line in lines)
    data |= {"forbidden": [line.text for line in forbidden], "unwanted": [line.text for line in unwanted]}
    aside = f"; {unsure} more readings were too unsure to count" if unsure else ""
    if not forbidden and not unwanted:
        seen = [line.text for line in lines if line.counts]
        sentence = f"read {_quoted(seen)}, which the guide allows" if seen else "no text"
        return Finding(check=Criterion.TEXT, result=Result.PASS, sentence=sentence + aside, data=data)
    said = []
    if forbidden:
        said.append(f"forbidden: {_quoted(line.text for line in forbidden)}")
    if unwanted:
        why = "not among the allowed words" if guide.text_expected == "allowed" else "no text is expected"
        said.append(f"read {_quoted(line.text for line in unwanted)}: {why}")
    return Finding(
        check=Criterion.TEXT,
        result=Result.FLAG,
        score=1.0 if forbidden else max(line.sure for line in unwanted),
        sentence="; ".join(said) + aside,
        regions=tuple(line.box for line in [*forbidden, *unwanted]),
        data=data,
    )


def read(pixels: NDArray[np.uint8]) -> list[Line]:
    """Every line that is read at all. ModuleNotFoundError without rapidocr."""
    height, width = pixels.shape[:2]
    scale = min(max(1.0, SMALLEST / max(height, width)), LARGEST / max(height, width))
    if scale != 1.0:
        how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        pixels = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=how)
    height, width = pixels.shape[:2]
    with _reading:  # the reader keeps state between its stages
        found = _reader()(np.ascontiguousarray(pixels[..., ::-1]))
    if found.txts is None:
        return []
    return [
        Line(text, float(sure), _box(np.asarray(corners, float) / (width, height), text))
        for text, sure, corners in zip(found.txts, found.scores, found.boxes, strict=True)
    ]


@cache
def _reader() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,  # text upside down; costs time and takes wrong turns
            "Det.limit_side_len": LARGEST,
            "Det.limit_type": "max",
            "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": THREADS,
        }
    )


def _box(corners: NDArray[np.float64], text: str) -> Region:
    """Four corners as fractions -> the box around them."""
    (left, top), (right, bottom) = np.clip(corners.min(0), 0, 1), np.clip(corners.max(0), 0, 1)
    width, height = right - left, bottom - top
    return Region(x=left, y=top, width=width, height=height, criterion=Criterion.TEXT, label=text)


def plain(word: str) -> str:
    """Without case and without punctuation around it; nothing else is changed."""
    return re.sub(r"^\W+|\W+$", "", word).casefold()


def _may_be(line: Line, guide: BrandGuide) -> bool:
    if guide.text_expected != "allowed":
        return guide.text_expected == "any"
    words = line.words
    phrases = sorted((_split(phrase) for phrase in guide.allowed_words), key=len, reverse=True)
    while words:
        known = next((phrase for phrase in phrases if phrase and words[: len(phrase)] == phrase), None)
        if known is None:
            return False
        words = words[len(known) :]
    return True


def _holds(words: Sequence[str], phrases: Iterable[str]) -> bool:
    wanted = [_split(phrase) for phrase in phrases]
    return any(list(words[at : at + len(phrase)]) == phrase for phrase in wanted if phrase for at in range(len(words)))


def _split(phrase: str) -> list[str]:
    return [word for word in (plain(part) for part in phrase.split()) if word]


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
