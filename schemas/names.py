"""Names in an error: the one that was meant, or those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

LOOKED_THROUGH, NAMED = 500, 60
"""Names that are looked through for a likeness, and those that are listed."""


def suggest_names(name: str, names: Iterable[str], *, meant: str | None = None) -> str:
    """The name like this one (or `meant`, if it is one of them), else all of them."""
    known = sorted(names)
    if meant in known:
        return f"did you mean {meant!r}?"
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6) if len(known) <= LOOKED_THROUGH else []
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return f"one of: {', '.join(known[:NAMED]) or 'none is defined'}{more}"


@dataclass(frozen=True)
class OneOf:
    """What is allowed in the place of `name`. Likenesses are looked for when it is shown: a manifest can have 20,000
    wrong names, of which few are shown."""

    name: str
    names: Iterable[str]
    before: str = ""

    def __str__(self) -> str:
        return self.before + suggest_names(self.name, self.names)


def count_noun(number: int, noun: str) -> str:
    """1 image, 2,000 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
