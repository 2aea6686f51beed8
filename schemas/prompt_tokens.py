"""Where a textual inversion's word stands in a prompt: whole words only, whatever their case."""

from __future__ import annotations

import re
from collections.abc import Iterable


def find_words(token: str, text: str) -> bool:
    return re.search(_whole([token]), text, re.IGNORECASE) is not None


def split_at_words(text: str, tokens: Iterable[str]) -> list[str]:
    """`text` cut before and after every token; pieces at odd places are tokens, as they are written there."""
    wanted = sorted(tokens, key=len, reverse=True)
    return re.split(f"({_whole(wanted)})", text, flags=re.IGNORECASE) if wanted else [text]


def _whole(tokens: Iterable[str]) -> str:
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, tokens))})(?!\w)"
