"""What was read against what must be read, letter by letter. Pure; nothing is corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from checks.reader import Line


@dataclass(frozen=True)
class Spelling:
    """The reading that is nearest to what must be read. `distance`: letters to insert, delete or replace."""

    expected: str
    reading: str
    distance: int
    differences: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def error(self) -> float:
        """0 to 1: the distance in letters of what must be read."""
        return min(1.0, self.distance / max(len(self.expected), 1))


def fold(text: str) -> str:
    """One space between words, no case."""
    return " ".join(text.split()).casefold()


def compare(expected: str, lines: Sequence[Line]) -> Spelling:
    """The nearest of: each line alone, and all lines that follow one another, from one to another."""
    target = fold(expected)
    best = Spelling(expected, "", len(target), (f"nothing was read of {expected!r}",), ())
    for first in range(len(lines)):
        for last in range(first + 1, len(lines) + 1):
            part = [line for line in lines[first:last] if line.text.strip()]
            reading = " ".join(line.text for line in part)
            distance = Levenshtein.distance(fold(reading), target)
            if part and distance < best.distance:
                best = Spelling(expected, reading, distance, explain(expected, reading), tuple(part))
    return best


def explain(expected: str, reading: str) -> tuple[str, ...]:
    """A phrase for each letter that differs: `letter 8 is 0, expected O`. Letters are counted in what must be read."""
    target, source = " ".join(expected.split()), " ".join(reading.split())
    phrases = []
    for step in Levenshtein.editops(source.casefold(), target.casefold()):
        at = step.dest_pos + 1
        if step.tag == "replace":
            phrases.append(f"letter {at} is {_name(source[step.src_pos])}, expected {_name(target[step.dest_pos])}")
        elif step.tag == "insert":
            phrases.append(f"letter {at}, {_name(target[step.dest_pos])}, is missing")
        else:
            phrases.append(f"{_name(source[step.src_pos])} before letter {at} is too much")
    return tuple(phrases)


def _name(letter: str) -> str:
    return "a space" if letter == " " else letter
