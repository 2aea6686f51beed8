"""The `text` check: what is read in the picture, against the brand guide and what the asset must say.

Words are reported exactly as they were read, misspelt or not: SHOF on a sign that should say SHOP is what a reviewer
must see. Places that look like a line of text to the detector and that the reader cannot read are `unread marks`, and
are flagged. Other readings that are unsure or of a single letter, which a reader of text finds in gems and crowns, stay
in the data and flag nothing, unless the guide forbids that very word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from checks.reader import Line, read, simplify_text
from checks.spelling import Spelling, compare
from schemas.errors import ModelMissing
from schemas.manifest import BrandGuide, TextRequest
from schemas.review import Criterion, Finding, Result
from schemas.settings import TextReader
from schemas.spec import ImageSpec

LARGER = 640
"""px, longest side of the second reading."""
MOST_DIFFERENCES = 4
"""Letters that the sentence names."""


def check_text(
    pixels: NDArray[np.uint8],
    spec: ImageSpec,
    guide: BrandGuide,
    *,
    request: TextRequest | None = None,
    readers: Mapping[str, TextReader] | None = None,
) -> Finding:
    """`readers`: the settings' own, by language. ModelError for a language without one, or one that cannot be used."""
    by = _find_reader(guide, request, readers or {})
    try:
        lines = read(pixels, by=by)
    except ModuleNotFoundError as missing:
        words = f"not looked for: {missing.name} is not installed (it comes with the [generate] install)"
        return Finding(check=Criterion.TEXT, result=Result.NOT_CHECKED, sentence=words)
    lines, spelling = _read_best(pixels, lines, request, by)
    expected = spelling.lines if spelling else ()
    forbidden = [line for line in lines if _holds(line.words, guide.forbidden_words)]
    known = (*forbidden, *expected)
    unwanted = [line for line in lines if line.counts and line not in known and not _may_be(line, guide)]
    marks = [line for line in lines if line.is_unread_mark and line not in known]
    unsure = sum(not line.counts and line not in marks for line in lines if line.text)
    aside = f"; {unsure} more {'reading was' if unsure == 1 else 'readings were'} too unsure to count" if unsure else ""
    data: dict[str, object] = {
        "lines": [
            {"text": line.text, "confidence": round(line.sure, 3), "counts": line.counts,
             "detector": round(line.detector, 3), "elongation": round(line.elongation, 2)}
            for line in lines
        ],
        "text_expected": guide.text_expected,
        "forbidden": [line.text for line in forbidden],
        "unwanted": [line.text for line in unwanted],
        "unread_marks": len(marks),
    }  # fmt: skip
    if spelling:
        data["must_read"] = {
            "expected": spelling.expected, "reading": spelling.reading, "distance": spelling.distance,
            "letters": list(spelling.differences),
        }  # fmt: skip
    where = f" on {request.where}" if request and request.where else ""
    misspelt = spelling if spelling and spelling.distance else None
    phrases = _describe_faults(
        guide, misspelt=misspelt, where=where, forbidden=forbidden, unwanted=unwanted, marks=marks, request=request
    )
    if not phrases:
        seen = [line.text for line in lines if line.counts or line in expected]
        allowed = f"{_quoted(seen)}{where}, as it must be" if spelling else f"{_quoted(seen)}, which the guide allows"
        sentence = f"read {allowed}" if seen else "no text"
        return Finding(check=Criterion.TEXT, result=Result.PASS, sentence=sentence + aside, data=data)
    scores = [max(line.sure, line.detector) for line in (*unwanted, *marks)]
    scores += [0.5 + 0.5 * misspelt.error if misspelt else 0.0, 1.0 if forbidden else 0.0]
    return Finding(
        check=Criterion.TEXT,
        result=Result.FLAG,
        score=max(scores),
        sentence="; ".join(phrases) + aside,
        regions=tuple(line.box for line in [*forbidden, *unwanted, *marks, *(expected if misspelt else ())]),
        data=data,
    )


def _read_best(
    pixels: NDArray[np.uint8], lines: list[Line], request: TextRequest | None, by: TextReader | None
) -> tuple[list[Line], Spelling | None]:
    """Where what must be read is not there, or a mark stays unread, other sizes and turns of the picture are tried."""
    if request is None:
        if any(line.is_unread_mark for line in lines):
            for again in _read_again(pixels, by):
                if _unread(again) < _unread(lines) and any(line.counts for line in again):
                    lines = again
                if not _unread(lines):
                    break
        return lines, None
    spelling = compare(request.must_read, lines)
    if spelling.distance:
        for again in _read_again(pixels, by):
            if (other := compare(request.must_read, again)).distance < spelling.distance:
                lines, spelling = again, other
            if not spelling.distance:
                break
    return lines, spelling


def _describe_faults(
    guide: BrandGuide,
    *,
    misspelt: Spelling | None,
    where: str,
    forbidden: Sequence[Line],
    unwanted: Sequence[Line],
    marks: Sequence[Line],
    request: TextRequest | None,
) -> list[str]:
    phrases = []
    if misspelt is not None:
        phrases.append(f"must read {misspelt.expected!r}{where}: {_differ(misspelt)}")
    if forbidden:
        phrases.append(f"forbidden: {_quoted(line.text for line in forbidden)}")
    if unwanted:
        why = "not among the allowed words" if guide.text_expected == "allowed" else "no other text is expected"
        why = why if request else why.replace(" other", "")
        phrases.append(f"read {_quoted(line.text for line in unwanted)}: {why}")
    if marks:
        nearest = [line.text for line in marks if line.text]
        phrases.append(f"{_count(len(marks))}" + (f", nearest to {_quoted(nearest)}" if nearest else ""))
    return phrases


def _read_again(pixels: NDArray[np.uint8], by: TextReader | None) -> Iterator[list[Line]]:
    yield read(pixels, smallest=LARGER, by=by)
    for turns in (2, 1, 3):
        yield read(pixels, quarter_turns=turns, by=by)


def _find_reader(
    guide: BrandGuide, request: TextRequest | None, readers: Mapping[str, TextReader]
) -> TextReader | None:
    language = (request.language if request else None) or guide.text_language
    if language is None:
        return None
    if language not in readers:
        known = ", ".join(sorted(readers)) or "no language"
        raise ModelMissing(f"text_readers: got {language!r} (asked for by the text check); this machine has {known}")
    return readers[language]


def _unread(lines: Sequence[Line]) -> int:
    return sum(line.is_unread_mark for line in lines)


def _differ(spelling: Spelling) -> str:
    if not spelling.lines:
        return "nothing was read"
    named = ", ".join(spelling.differences[:MOST_DIFFERENCES])
    rest = len(spelling.differences) - MOST_DIFFERENCES
    return f"read {_quoted([spelling.reading])}; {named}" + (f" and {rest} more" if rest > 0 else "")


def _count(marks: int) -> str:
    return "1 unread mark" if marks == 1 else f"{marks} unread marks"


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
    return [word for word in (simplify_text(part) for part in phrase.split()) if word]


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
